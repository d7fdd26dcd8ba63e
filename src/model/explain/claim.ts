import type { BindingField } from "../api/interfaces.ts";

/** What is said of a NIC, in the order of telling, each with its heading. */
export const TOPICS = {
  in: "reached by",
  "in-icmp": "echo requests",
  "in-local": "from the pod",
  out: "reaches",
  mac: "MAC",
  mtu: "MTU",
  dhcp4: "DHCPv4",
  dhcp6: "DHCPv6",
  ra: "advertisements",
  guard: "spoof guard",
  queues: "queues",
  memory: "memory",
  migration: "migration",
  needs: "needs",
} as const;
export type Topic = keyof typeof TOPICS;

/** Names one claim of one binding, such as `masquerade.mtu`: a test of that name checks it against a kernel or a guest. */
export type ClaimId = `${BindingField}.${Topic}`;

/** A statement about a NIC, and the same as data. */
export interface Told {
  readonly statement: string;
  readonly [field: string]: unknown;
}

export interface Claim extends Told {
  readonly id: ClaimId;
}

/** Something that a NIC needs beside its manifest. */
export interface Need {
  readonly what: "add-on" | "definition" | "gate" | "setting" | "device" | "registration";
  readonly name: string;
  /** As a phrase that goes on after "needs". */
  readonly phrase: string;
}

/** What a binding says of a NIC; the rest follows from its wiring. */
export interface BindingSays {
  readonly in: Told;
  readonly "in-icmp": Told;
  /** Where the pod itself has a way to the guest. */
  readonly "in-local"?: Told;
  readonly out: Told;
  /** Where it costs more than the guest's own memory. */
  readonly memory?: Told;
  readonly needs: readonly Need[];
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} and ${words.at(-1) ?? ""}`;
}
