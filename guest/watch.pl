# One process that waits for everything the shell cannot: TCP and UDP echo on port 7 over both families, name servers and
# search domains of router advertisements (RFC 8106), devices that come and go. Constants are those of Linux on x86-64.
use strict;

sub AF_NETLINK() { 16 }
sub NETLINK_ROUTE() { 0 }
sub NETLINK_KOBJECT_UEVENT() { 15 }
sub ND_USEROPT_GROUP() { 1 << 19 }
sub RTM_NEWNDUSEROPT() { 68 }
sub OPTION_RDNSS() { 25 }
sub OPTION_DNSSL() { 31 }
sub AF_INET6() { 10 }
sub SOCK_STREAM() { 1 }
sub SOCK_DGRAM() { 2 }
sub SOCK_RAW() { 3 }
sub SOCK_CLOEXEC() { 02000000 }
sub SOL_SOCKET() { 1 }
sub SO_REUSEADDR() { 2 }
sub SO_RCVBUFFORCE() { 33 }
sub IPPROTO_IPV6() { 41 }
sub IPPROTO_ICMPV6() { 58 }
sub IPV6_MULTICAST_HOPS() { 18 }
sub ND_ROUTER_SOLICIT() { 133 }
sub F_SETFD() { 2 }
sub F_SETFL() { 4 }
sub FD_CLOEXEC() { 1 }
sub O_NONBLOCK() { 04000 }
sub EAGAIN() { 11 }
sub ECHO_PORT() { 7 }
sub CHUNK() { 65536 }
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';

my $any = pack('S n N a16 L', AF_INET6, ECHO_PORT, 0, "\0" x 16, 0);

sub opened {
    my ($domain, $type, $protocol, $address) = @_;
    socket(my $socket, $domain, $type | SOCK_CLOEXEC, $protocol) or die "socket: $!";
    setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, pack('i', 1));
    setsockopt($socket, SOL_SOCKET, SO_RCVBUFFORCE, pack('i', 1 << 20)) if $domain == AF_NETLINK;
    bind($socket, $address) or die "bind: $!";
    return $socket;
}

my $stream = opened(AF_INET6, SOCK_STREAM, 0, $any);
listen($stream, 128) or die "listen: $!";
my $datagram = opened(AF_INET6, SOCK_DGRAM, 0, $any);
my $advertised = opened(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, pack('S S L L', AF_NETLINK, 0, 0, ND_USEROPT_GROUP));
my $uevents = opened(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT, pack('S S L L', AF_NETLINK, 0, 0, 1));

# Connections by file number: the handle, what is still to be sent, whether the peer has ended its half.
my %echo;
my ($reading, $writing) = ('', '');
vec($reading, fileno($_), 1) = 1 for $stream, $datagram, $advertised, $uevents;

sub forget {
    my ($number) = @_;
    vec($reading, $number, 1) = 0;
    vec($writing, $number, 1) = 0;
    close $echo{$number}{handle};
    delete $echo{$number};
}

# Sends what is waiting; reads again only when all of it is sent, so a slow reader holds no more than one chunk here.
sub send_waiting {
    my ($number) = @_;
    my $one = $echo{$number};
    if (length $one->{waiting}) {
        my $sent = syswrite($one->{handle}, $one->{waiting});
        if (!defined $sent) {
            forget($number) unless $! == EAGAIN;
            return;
        }
        substr($one->{waiting}, 0, $sent, '');
    }
    my $more = length($one->{waiting}) > 0;
    return forget($number) if !$more && $one->{ended};
    vec($writing, $number, 1) = $more ? 1 : 0;
    vec($reading, $number, 1) = $more || $one->{ended} ? 0 : 1;
}

sub run {
    my @command = @_;
    my $child = fork();
    return if !defined $child || $child;
    exec @command;
}

# Cold plug may have run before this socket was open; nic takes no interface twice.
opendir(my $links, '/sys/class/net') or die "sysfs: $!";
run('/lib/guest/nic', 'up', $_) for grep { !/^\./ } readdir $links;
closedir $links;
solicit();

while (1) {
    my ($readable, $writable) = ($reading, $writing);
    next if select($readable, $writable, undef, undef) < 0;
    if (vec($readable, fileno $datagram, 1)) {
        my $peer = recv($datagram, my $data, 65535, 0);
        send($datagram, $data, 0, $peer) if defined $peer;
    }
    accepted() if vec($readable, fileno $stream, 1);
    advertised() if vec($readable, fileno $advertised, 1);
    uevent() if vec($readable, fileno $uevents, 1);
    for my $number (keys %echo) {
        if (vec($readable, $number, 1)) {
            my $got = sysread($echo{$number}{handle}, $echo{$number}{waiting}, CHUNK);
            if (!defined $got) { forget($number) unless $! == EAGAIN; next }
            $echo{$number}{ended} = 1 if $got == 0;
            send_waiting($number);
        }
        elsif (vec($writable, $number, 1)) { send_waiting($number) }
    }
}

sub accepted {
    accept(my $handle, $stream) or return;
    fcntl($handle, F_SETFL, O_NONBLOCK);
    fcntl($handle, F_SETFD, FD_CLOEXEC);
    my $number = fileno $handle;
    $echo{$number} = { handle => $handle, waiting => '', ended => 0 };
    vec($reading, $number, 1) = 1;
}

# The kernel tells a router's options once, perhaps before the socket for them was open: every link that is up asks again
# (RFC 4861 section 6.3.7). A link that is not up yet is asked for by the kernel, later.
sub solicit {
    socket(my $socket, AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6) or return;
    setsockopt($socket, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, pack('i', 255));
    my $all_routers = pack('n C13 C', 0xff02, (0) x 13, 2);
    opendir(my $links, '/sys/class/net') or return;
    for my $name (grep { !/^(?:\.|lo$)/ } readdir $links) {
        open(my $file, '<', "/sys/class/net/$name/ifindex") or next;
        my $index = <$file>;
        send($socket, pack('C C n N', ND_ROUTER_SOLICIT, 0, 0, 0), 0,
            pack('S n N a16 L', AF_INET6, 0, 0, $all_routers, $index));
    }
}

# RTM_NEWNDUSEROPT: nlmsghdr (16 bytes), nduseroptmsg (16 bytes), the options of one advertisement.
sub advertised {
    defined recv($advertised, my $data, 65535, 0) or return;
    while (length($data) >= 32) {
        my ($length, $type) = unpack('L S', $data);
        last if $length < 32 || $length > length $data;
        my ($options_length, $index) = unpack('x18 S l', $data);
        keep(interface_of($index), substr($data, 32, $options_length)) if $type == RTM_NEWNDUSEROPT;
        substr($data, 0, ($length + 3) & ~3, '');
    }
}

sub interface_of {
    my ($index) = @_;
    opendir(my $links, "/sys/class/net") or return undef;
    for my $name (readdir $links) {
        open(my $file, "<", "/sys/class/net/$name/ifindex") or next;
        return $name if <$file> == $index;
    }
    return undef;
}

# What each interface's advertisements said last, by kind of option.
my %said;

sub keep {
    my ($interface, $options) = @_;
    return if !defined $interface;
    while (length($options) >= 8) {
        my ($type, $units) = unpack('C C', $options);
        last if $units == 0 || $units * 8 > length $options;
        my $option = substr($options, 0, $units * 8, '');
        my $lifetime = unpack('x4 N', $option);
        my $body = substr($option, 8);
        my @values = $type == OPTION_RDNSS ? servers($body) : $type == OPTION_DNSSL ? domains($body) : next;
        $said{$interface}{$type} = $lifetime == 0 ? [] : \@values;
    }
    mkdir '/run/resolv';
    my $servers = join '', map { "nameserver $_\n" } @{ $said{$interface}{ +OPTION_RDNSS } || [] };
    my $search = join ' ', 'search', @{ $said{$interface}{ +OPTION_DNSSL } || [] };
    my $path = "/run/resolv/ra.$interface";
    my $text = "$servers$search\n";
    if (open(my $old, '<', $path)) {
        local $/;
        return if (<$old> // '') eq $text;
    }
    open(my $file, '>', $path) or return;
    print $file $text;
    close $file;
    run('/lib/guest/resolv');
}

sub servers {
    my ($body) = @_;
    my @found;
    push @found, text6(substr($body, 0, 16, '')) while length($body) >= 16;
    return @found;
}

# RFC 5952: lower case, no leading zeros, the first longest run of at least two zero groups as `::`.
sub text6 {
    my $text = join ':', map { sprintf '%x', $_ } unpack('n8', $_[0]);
    my $longest = '';
    while ($text =~ /(?:^|(?<=:))(0(?::0)+)(?=:|$)/g) { $longest = $1 if length $1 > length $longest }
    if ($longest ne '') {
        $text =~ s/(?:^|:)\Q$longest\E(?::|$)/::/;
    }
    return $text;
}

sub domains {
    my ($body) = @_;
    my (@found, @labels);
    while (length $body) {
        my $length = unpack('C', substr($body, 0, 1, ''));
        last if $length > length $body;
        if ($length) { push @labels, substr($body, 0, $length, '') }
        elsif (@labels) { push @found, join('.', @labels); @labels = () }
    }
    return grep { /^[A-Za-z0-9._-]+$/ } @found;
}

sub uevent {
    defined recv($uevents, my $data, 65535, 0) or return;
    my %of = map { /^([A-Z_]+)=(.*)$/s ? ($1, $2) : () } split /\0/, $data;
    my $subsystem = $of{SUBSYSTEM} // '';
    if ($subsystem eq 'net' && ($of{ACTION} eq 'add' || $of{ACTION} eq 'move')) {
        run('/lib/guest/nic', 'up', $of{INTERFACE});
    }
    elsif ($subsystem eq 'net' && $of{ACTION} eq 'remove') {
        delete $said{ $of{INTERFACE} };
        run('/lib/guest/nic', 'down', $of{INTERFACE});
    }
    elsif ($of{ACTION} eq 'add' && defined $of{MODALIAS} && $subsystem =~ /^(?:pci|virtio|scsi)$/) {
        run('/bin/modprobe', '-q', $of{MODALIAS});
    }
}
