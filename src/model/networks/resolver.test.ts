import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseResolvConf, podResolver } from "./resolver.ts";

const host = "nameserver 192.0.2.53\nsearch corp.example lab.example\noptions timeout:1 edns0\n";

test("reads resolv.conf(5)", () => {
  const text = [
    "# nameserver 192.0.2.1",
    "; a comment",
    "domain old.example",
    "search one.example\ttwo.example",
    "nameserver 192.0.2.2 # main",
    "nameserver 2001:DB8::1",
    "nameserver not-an-address",
    "nameserver 192.0.2.2",
    "sortlist 192.0.2.0",
    "options ndots:2 rotate",
    "options ndots:3",
  ].join("\n");
  assert.deepEqual(parseResolvConf(text), {
    nameservers: ["192.0.2.2", "2001:db8::1"],
    search: ["one.example", "two.example"],
    options: ["ndots:3", "rotate"],
  });
  assert.deepEqual(parseResolvConf("search a.example\ndomain b.example\n").search, ["b.example"]);
  assert.deepEqual(parseResolvConf("search .\n").search, []);
  fc.assert(fc.property(fc.string(), (foreign) => assert.ok(Array.isArray(parseResolvConf(foreign).search))));
});

test("hands the host's on for Default, and for ClusterFirst without a cluster's servers", () => {
  for (const dnsPolicy of ["Default", "ClusterFirst", undefined]) {
    assert.deepEqual(podResolver({ dnsPolicy, hostResolvConf: host }), {
      nameservers: ["192.0.2.53"],
      search: ["corp.example", "lab.example"],
      options: ["timeout:1", "edns0"],
    });
  }
});

test("ClusterFirst with a cluster's servers", () => {
  assert.deepEqual(podResolver({ hostResolvConf: host, namespace: "shop", clusterDns: ["10.96.0.10"] }), {
    nameservers: ["10.96.0.10"],
    search: ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example", "lab.example"],
    options: ["ndots:5"],
  });
});

test("None takes dnsConfig alone", () => {
  const dnsConfig = { nameservers: ["192.0.2.9"], searches: ["x.example"], options: [{ name: "ndots", value: "1" }] };
  assert.deepEqual(podResolver({ dnsPolicy: "None", hostResolvConf: host, dnsConfig }), {
    nameservers: ["192.0.2.9"],
    search: ["x.example"],
    options: ["ndots:1"],
  });
});

test("merges dnsConfig: servers and domains are added, options replaced; limits as kubelet's", () => {
  const dnsConfig = {
    nameservers: ["192.0.2.53", "192.0.2.1", "192.0.2.2", "192.0.2.3"],
    searches: ["lab.example", "new.example"],
    options: [{ name: "timeout", value: "3" }, { name: "rotate" }],
  };
  assert.deepEqual(podResolver({ hostResolvConf: host, dnsConfig }), {
    nameservers: ["192.0.2.53", "192.0.2.1", "192.0.2.2"],
    search: ["corp.example", "lab.example", "new.example"],
    options: ["timeout:3", "edns0", "rotate"],
  });
});

test("looks behind a stub on the loopback", () => {
  const stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch corp.example\n";
  const behindStub = "nameserver 192.0.2.7\nnameserver 2001:db8::7\nsearch corp.example\n";
  assert.deepEqual(podResolver({ hostResolvConf: stub, behindStub }), {
    nameservers: ["192.0.2.7", "2001:db8::7"],
    search: ["corp.example"],
    options: ["edns0", "trust-ad"],
  });
  assert.deepEqual(podResolver({ hostResolvConf: stub }).nameservers, []);
  assert.deepEqual(podResolver({ hostResolvConf: `${stub}nameserver 192.0.2.1\n`, behindStub }).nameservers, [
    "192.0.2.1",
  ]);
});

test("takes what CNI says of DNS in place of the host's", () => {
  const cniDns = { nameservers: ["10.1.0.1"], domain: "pod.example", search: [], options: ["rotate"] };
  assert.deepEqual(podResolver({ hostResolvConf: host, cniDns }), {
    nameservers: ["10.1.0.1"],
    search: ["pod.example"],
    options: ["rotate"],
  });
  const silent = { nameservers: [], search: ["x.example"], options: [] };
  assert.deepEqual(podResolver({ hostResolvConf: host, cniDns: silent }).nameservers, ["192.0.2.53"]);
});
