import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { closeSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { applyKernel } from "../../src/host/linux/apply.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { sendFrames } from "../../src/host/linux/sockets.ts";
import { closeFds } from "../../src/host/linux/tap.ts";
import { startServices } from "../../src/host/serve/services.ts";
import { formatIp } from "../../src/model/addresses/ip.ts";
import { formatMac } from "../../src/model/addresses/mac.ts";
import { type Dhcp4Message, decodeDhcp4, encodeDhcp4 } from "../../src/model/packets/dhcp4.ts";
import { addressOf, messageType4, octetOf, option4, u16Of } from "../../src/model/packets/dhcp4-options.ts";
import { etherType } from "../../src/model/packets/ethernet.ts";
import { concat, readU16, u16 } from "../../src/model/packets/octets.ts";
import { needs } from "../needs.ts";
import { bridgeNeeds, type PodShape, withPod } from "./bridge-pod.ts";
import {
  arpFrame,
  arpOf,
  bytesOf,
  capture,
  echo,
  echoOf,
  type Frame,
  ip4Of,
  ip4Packet,
  octetsOf,
  TapGuest,
} from "./tap-guest.ts";

const run = promisify(execFile);

const BROADCAST = "ff:ff:ff:ff:ff:ff";
const UDP = 17;
const [STRANGER, RENEWAL] = [0x0badcafe, 0x0badbeef];
/** Neighbour discovery, MLD and router solicitations come within this time after a link is up. */
const CHATTER_MS = 2500;

/** Tests that the guest alone is on the pod's link: `own` is its address and `peer` that of who is outside. */
export function testTraffic(shape: PodShape, own: string, peer: string): void {
  const isWithoutAddress = !shape.made.some((command) => command.startsWith("address"));
  test(`the guest is on the pod's link, and nobody else speaks there: ${shape.what}`, async (t) => {
    if (!needs(t, ...bridgeNeeds, "busybox") || !(shape.needs ?? []).every((need) => needs(t, need))) return;
    await withPod(shape, async ({ path, outside, wiring }) => {
      const nic = wiring.nics.at(-1);
      const [service] = wiring.services.slice(-1).filter(({ nic: name }) => name === nic?.name);
      assert.ok(nic?.attachment.kind === "tap");
      const far = readLinks(outside).links.find(({ name }) => name === "far0");
      assert.ok(far !== undefined);
      const line = capture(outside, "far0");
      line.frames();
      const { taps } = applyKernel(path, wiring.kernel);
      const applied = performance.now();
      const services = await startServices({
        netns: path,
        podUid: "uid",
        services: wiring.services,
        onEvent: () => {},
      });
      try {
        const guest = new TapGuest(taps.get(nic.attachment.device)?.[0] ?? -1);
        const me = { mac: nic.mac, address: own };

        // The pod's own kernel knows the address and leaves it to the guest to answer.
        // The link may need a moment to carry frames.
        const asked = arpFrame("request", { mac: far.mac, address: peer }, { address: own });
        await guest.until(
          "who has its address",
          (frame) => arpOf(frame),
          () => sendFrames(outside, [{ device: "far0", bytes: bytesOf(asked) }]),
        );
        assert.deepEqual(
          line.frames().filter((frame) => arpOf(frame)?.operation === "reply"),
          [],
        );

        guest.send(arpFrame("request", me, { address: peer }));
        const answer = await guest.until("the peer's MAC", (frame) =>
          arpOf(frame)?.operation === "reply" ? arpOf(frame) : undefined,
        );
        assert.deepEqual([formatMac(answer.senderMac), formatIp(answer.senderAddress)], [far.mac, peer]);
        const rest = Uint8Array.from({ length: 60 }, (_, index) => index);
        const toGuest = { to: nic.mac, from: far.mac, type: etherType.ipv4 };
        const toPeer = { to: far.mac, from: nic.mac, type: etherType.ipv4 };
        guest.send({ ...toPeer, payload: ip4Packet(1, own, peer, echo("request", rest)) });
        assert.deepEqual(await guest.until("the peer's echo", (frame) => echoOf(frame, "reply")), rest);

        const pinged = run("nsenter", [`--net=${outside}`, "busybox", "ping", "-c", "2", "-i", "0.1", "-W", "30", own]);
        let answered = 0;
        await guest.until("two echo requests", (frame) => {
          if (arpOf(frame)?.operation === "request")
            guest.send(arpFrame("reply", me, { mac: frame.from, address: peer }));
          const request = echoOf(frame, "request");
          if (request === undefined) return undefined;
          guest.send({ ...toPeer, payload: ip4Packet(1, own, peer, echo("reply", request)) });
          answered += 1;
          return answered === 2 ? true : undefined;
        });
        await pinged;

        // Another DHCP server of the network, and another client that gives itself out for the guest.
        const barrier = Uint8Array.of(0, 7, 0, 7, 7, 7, 7, 7);
        sendFrames(outside, [
          { device: "far0", bytes: bytesOf({ ...dhcp(nic.mac, "discover", true, [], STRANGER), from: far.mac }) },
          { device: "far0", bytes: bytesOf(foreignOffer(far.mac, nic.mac)) },
          {
            device: "far0",
            bytes: bytesOf({ ...toGuest, payload: ip4Packet(1, peer, own, echo("request", barrier)) }),
          },
        ]);
        await guest.until("the frame behind the foreign offer", (frame) =>
          echoOf(frame, "request")?.at(-1) === 7 ? true : undefined,
        );
        const foreign = guest.heard.filter((frame) => frame.from === far.mac && udpTo(frame) === 68);
        assert.equal(foreign.length, service?.dhcp4 === undefined ? 1 : 0, "offers of another server");

        if (service?.dhcp4 === undefined) {
          assert.ok(isWithoutAddress, "served where CNI gave an address");
          guest.send(dhcp(nic.mac, "discover", true));
        } else {
          const { dhcp4 } = service;
          guest.send(arpFrame("request", me, { address: dhcp4.serverAddress }));
          await guest.until("the server's MAC", (frame) => {
            const arp = arpOf(frame);
            return arp?.operation === "reply" && formatMac(arp.senderMac) === service.mac ? true : undefined;
          });
          for (const broadcast of [true, false]) {
            guest.send(dhcp(nic.mac, "discover", broadcast));
            const offer = await guest.until("an offer", answerTo("offer"));
            assert.deepEqual([offer.from, offer.message.yiaddr], [service.mac, own]);
            guest.send(
              dhcp(nic.mac, "request", broadcast, [
                { code: option4.requestedAddress, value: octetsOf(own) },
                { code: option4.serverIdentifier, value: octetsOf(dhcp4.serverAddress) },
              ]),
            );
            const { message } = await guest.until("an acknowledgement", answerTo("ack"));
            assert.equal(message.yiaddr, own);
            assert.equal(addressOf(message, option4.serverIdentifier), dhcp4.serverAddress);
            assert.equal(u16Of(message, option4.interfaceMtu), 1450);
          }

          // RENEWING: unicast, from the address that the stand-in has as well.
          const request = { code: option4.messageType, value: Uint8Array.of(messageType4.request) };
          const renewal = { ...blank(nic.mac), xid: RENEWAL, broadcast: false, ciaddr: own, options: [request] };
          const payload = datagram(renewal, [own, dhcp4.serverAddress], [68, 67]);
          guest.send({ to: service.mac, from: nic.mac, type: etherType.ipv4, payload });
          const renewed = await guest.until("the renewal's acknowledgement", (frame) => {
            const arp = arpOf(frame);
            if (arp?.operation === "request" && frame.from === service.mac)
              guest.send(arpFrame("reply", me, { mac: frame.from, address: formatIp(arp.senderAddress) }));
            const answer = answerTo("ack")(frame);
            return answer?.message.xid === RENEWAL ? answer : undefined;
          });
          assert.equal(renewed.message.yiaddr, own);
        }

        await pause(Math.max(0, CHATTER_MS - (performance.now() - applied)));
        const onLine = line.frames();
        const toServer = onLine.filter(
          (frame) =>
            (frame.from === nic.mac && udpTo(frame) === 67) ||
            formatIp(arpOf(frame)?.targetAddress ?? octetsOf("0.0.0.0")) === service?.dhcp4?.serverAddress,
        );
        assert.equal(toServer.length, service?.dhcp4 === undefined ? 1 : 0, "the guest's DHCP on the pod's link");
        const strangers = onLine.filter(({ from }) => from !== nic.mac && from !== far.mac);
        assert.deepEqual(strangers.map(shown), [], "on the pod's link");
        guest.listen();
        const inside = guest.heard.filter(({ from }) => from !== far.mac && from !== service?.mac);
        assert.deepEqual(inside.map(shown), [], "at the guest");
        const toStranger = guest.heard.filter((frame) => messageOf(frame)?.xid === STRANGER && udpTo(frame) === 68);
        assert.deepEqual(toStranger.map(shown), [], "answers to another client");
      } finally {
        await services.close();
        closeSync(line.fd);
        await closeFds([...taps.values()].flat());
      }
    });
  });
}

function dhcp(
  mac: string,
  kind: "discover" | "request",
  broadcast: boolean,
  options: Dhcp4Message["options"] = [],
  xid = 0x12345678,
): Frame {
  const type = { code: option4.messageType, value: Uint8Array.of(messageType4[kind]) };
  const message = { ...blank(mac), xid, broadcast, options: [type, ...options] };
  return {
    to: BROADCAST,
    from: mac,
    type: etherType.ipv4,
    payload: datagram(message, ["0.0.0.0", "255.255.255.255"], [68, 67]),
  };
}

/** What a DHCP server on the pod's network would say to the guest. */
function foreignOffer(from: string, client: string): Frame {
  const type = { code: option4.messageType, value: Uint8Array.of(messageType4.offer) };
  const message = { ...blank(client), op: "reply" as const, yiaddr: "10.66.6.6", options: [type] };
  return {
    to: BROADCAST,
    from,
    type: etherType.ipv4,
    payload: datagram(message, ["10.66.6.1", "255.255.255.255"], [67, 68]),
  };
}

function blank(client: string): Dhcp4Message {
  return {
    op: "request",
    htype: 1,
    hops: 0,
    xid: 0x12345678,
    secs: 0,
    broadcast: true,
    ciaddr: "0.0.0.0",
    yiaddr: "0.0.0.0",
    siaddr: "0.0.0.0",
    giaddr: "0.0.0.0",
    chaddr: octetsOf(client),
    sname: "",
    file: "",
    options: [],
  };
}

function datagram(
  message: Dhcp4Message,
  [source, destination]: readonly [source: string, destination: string],
  [from, to]: readonly [from: number, to: number],
): Uint8Array {
  const { bytes } = encodeDhcp4(message);
  return ip4Packet(UDP, source, destination, concat(u16(from), u16(to), u16(8 + bytes.length), u16(0), bytes));
}

/** The port that a frame's datagram goes to. */
function udpTo(frame: Frame): number | undefined {
  const packet = ip4Of(frame);
  return packet?.protocol === UDP ? readU16(packet.data, 2) : undefined;
}

/** The DHCP message of a frame. */
function messageOf(frame: Frame): Dhcp4Message | undefined {
  const port = udpTo(frame);
  if (port !== 67 && port !== 68) return undefined;
  return { value: undefined, ...decodeDhcp4(ip4Of(frame)?.data.subarray(8) ?? new Uint8Array()) }.value;
}

function answerTo(
  kind: "offer" | "ack",
): (frame: Frame) => { readonly from: string; readonly message: Dhcp4Message } | undefined {
  return (frame) => {
    const message = udpTo(frame) === 68 ? messageOf(frame) : undefined;
    if (message === undefined || octetOf(message, option4.messageType) !== messageType4[kind]) return undefined;
    return { from: frame.from, message };
  };
}

function shown(frame: Frame): string {
  const { from, to, type } = frame;
  const arp = arpOf(frame);
  const packet = ip4Of(frame);
  const what =
    arp !== undefined
      ? `ARP ${arp.operation} for ${formatIp(arp.targetAddress)}`
      : packet !== undefined
        ? `IPv4 ${packet.protocol} ${packet.source} ${packet.destination}`
        : type.toString(16);
  return `${from} ${to} ${what}`;
}
