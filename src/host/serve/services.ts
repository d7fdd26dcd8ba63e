import { closeSync } from "node:fs";
import { Fault, isFault } from "../../model/fault.ts";
import type { ServiceCheck } from "../../model/serve/check.ts";
import { answerDhcp4, type Dhcp4State } from "../../model/serve/dhcp4.ts";
import { checkDhcp4 } from "../../model/serve/dhcp4-values.ts";
import { answerDhcp6, checkDhcp6, type Dhcp6State } from "../../model/serve/dhcp6.ts";
import type { ServeNote } from "../../model/serve/note.ts";
import { checkRouter } from "../../model/serve/router.ts";
import type { Dhcp4Service, Dhcp6Service, NicServices, RouterAdvertisementService } from "../../model/wiring/wiring.ts";
import { dhcp4Socket, dhcp6Socket, type LinkSocket, routerSocket } from "../linux/sockets.ts";
import { serveRouter } from "./router.ts";
import { serveUdp4 } from "./udp-server.ts";
import { serveUdp6 } from "./udp6-server.ts";

/** Which server speaks. */
export type ServiceName = "dhcp4" | "dhcp6" | "ra";

/** What a server says about a guest's message. */
export interface ServeEvent extends ServeNote {
  readonly podUid: string;
  readonly nic: string;
  readonly device: string;
  readonly service: ServiceName;
}

/** An address that a guest confirmed to have since the servers were started. */
export interface Lease {
  readonly nic: string;
  readonly service: "dhcp4" | "dhcp6";
  readonly address: string;
  /** MAC for DHCPv4, DUID in hexadecimal for DHCPv6. */
  readonly client: string;
  readonly hostName?: string;
}

/** The servers of one pod. */
export interface RunningServices {
  /** In the order of the NICs, DHCPv4 first. */
  leases(): readonly Lease[];
  /** Stops without a word to the guest, which keeps what it was given. */
  close(): Promise<void>;
}

/** What is served, where, and who wants to know. */
export interface ServeOptions {
  /** Path of the pod's network namespace. */
  readonly netns: string;
  readonly podUid: string;
  readonly services: readonly NicServices[];
  /** Called for every event, on the main thread; it must not throw. */
  onEvent(event: ServeEvent): void;
}

/** One part of what runs, and what it knows. */
interface Part {
  close(): void | Promise<void>;
  leases(): readonly Lease[];
}

/**
 * Starts the DHCPv4, DHCPv6 and router advertisement servers of a pod; all of them listen when the promise resolves.
 *
 * They need nothing but the plain data: started again for the same pod, by this daemon or the next one, they know the
 * guest's address and answer alike. They hold on to the devices that exist now: where one is deleted and made again,
 * close them and start anew. Call it outside of `within`.
 *
 * @throws Fault PB4041 where a service's own data cannot be served (nothing is started then), PB4040 where a socket
 * cannot be made (what was started is stopped again), PB4012 where there is no such namespace.
 */
export async function startServices(options: ServeOptions): Promise<RunningServices> {
  for (const nic of options.services) check(options, nic);
  const parts: Part[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(parts.splice(0).map((part) => part.close()));
  };
  for (const nic of options.services) {
    try {
      if (nic.dhcp4 !== undefined) parts.push(await startDhcp4(options, nic, nic.dhcp4));
      if (nic.dhcp6 !== undefined) parts.push(startDhcp6(options, nic, nic.dhcp6));
      if (nic.ra !== undefined) parts.push(startRouter(options, nic, nic.ra));
    } catch (cause) {
      await close();
      if (isFault(cause, "PB4012")) throw cause;
      throw new Fault("PB4040", `DHCP and router advertisements cannot be served on ${nic.device}: ${told(cause)}`, {
        place: `${options.netns}: ${nic.device}`,
        cure: `Look whether ${nic.device} exists there with its addresses (ip -n NAMESPACE address) and whether another server has its port.`,
        cause,
      });
    }
  }
  return { leases: () => parts.flatMap((part) => part.leases()), close };
}

/** Refuses a service that makes no sense; reports the values that are left out of one that does. */
function check(options: ServeOptions, nic: NicServices): void {
  const checks: readonly (readonly [ServiceName, ServiceCheck])[] = [
    ...(nic.dhcp4 === undefined ? [] : [["dhcp4", checkDhcp4(nic.dhcp4)] as const]),
    ...(nic.dhcp6 === undefined ? [] : [["dhcp6", checkDhcp6(nic.dhcp6)] as const]),
    ...(nic.ra === undefined ? [] : [["ra", checkRouter(nic.ra)] as const]),
  ];
  for (const [service, { fatal }] of checks) {
    if (fatal === undefined) continue;
    throw new Fault("PB4041", `The ${service} service of the NIC "${nic.nic}" cannot be started: ${fatal}.`, {
      place: `${nic.nic}: ${service}`,
      cure: "Correct the network's CIDR or the interface's dhcpOptions in the manifest.",
    });
  }
  for (const [service, { notes }] of checks) notes.forEach(reporter(options, nic, service));
}

function reporter(options: ServeOptions, nic: NicServices, service: ServiceName): (note: ServeNote) => void {
  const about = { podUid: options.podUid, nic: nic.nic, device: nic.device, service };
  return (note) => options.onEvent({ ...about, ...note });
}

async function startDhcp4(options: ServeOptions, nic: NicServices, service: Dhcp4Service): Promise<Part> {
  const initial: Dhcp4State = {};
  const server = await serveUdp4({
    fd: dhcp4Socket(options.netns, nic.device),
    initial,
    answer: (state, bytes) => answerDhcp4(service, state, bytes),
    note: reporter(options, nic, "dhcp4"),
  });
  return {
    close: server.close,
    leases() {
      const { client } = server.state();
      if (client === undefined) return [];
      const { mac, ...named } = client;
      return [{ nic: nic.nic, service: "dhcp4", address: service.clientAddress, client: mac, ...named }];
    },
  };
}

function startDhcp6(options: ServeOptions, nic: NicServices, service: Dhcp6Service): Part {
  const initial: Dhcp6State = {};
  const socket = dhcp6Socket(options.netns, nic.device);
  const server = closedOnFailure(socket, () =>
    serveUdp6({
      socket,
      initial,
      answer: (state, bytes, source) => answerDhcp6(service, state, bytes, source),
      note: reporter(options, nic, "dhcp6"),
    }),
  );
  return {
    close: server.close,
    leases() {
      const { client } = server.state();
      if (client === undefined) return [];
      return [{ nic: nic.nic, service: "dhcp6", address: service.clientAddress, client: client.duid }];
    },
  };
}

function startRouter(options: ServeOptions, nic: NicServices, service: RouterAdvertisementService): Part {
  const socket = routerSocket(options.netns, nic.device, service.linkLocal);
  const router = closedOnFailure(socket, () => serveRouter(service, socket, reporter(options, nic, "ra")));
  return { close: router.close, leases: () => [] };
}

/** What takes a socket over; where that fails, the socket is closed. */
function closedOnFailure<T>(socket: LinkSocket, start: () => T): T {
  try {
    return start();
  } catch (thrown) {
    closeSync(socket.fd);
    throw thrown;
  }
}

function told(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
