/** What a server has to say about a message, beside its answer. */
export interface ServeNote {
  readonly kind: NoteKind;
  /** A sentence for a log or an event. */
  readonly message: string;
}

/**
 * - `leased`: the guest confirmed its address; `released`, `declined`: it gave the address up;
 * - `informed`: it asked for the other values only; `refused`: it asked for something it cannot have and was told so;
 * - `ignored`: a message that gets no answer; `malformed`: bytes that are no message;
 * - `left-out`: a configured value that cannot be sent; `failed`: a system call failed; `advertised`: a router
 *   advertisement went out.
 */
export type NoteKind =
  | "leased"
  | "released"
  | "declined"
  | "informed"
  | "refused"
  | "ignored"
  | "malformed"
  | "left-out"
  | "failed"
  | "advertised";

/** True for what an administrator should see; the rest is for whoever follows the exchange. */
export function isWarning(note: ServeNote): boolean {
  return note.kind === "declined" || note.kind === "left-out" || note.kind === "failed";
}

/** Where an answer goes. */
export interface Destination {
  /** Address without zone. */
  readonly address: string;
  readonly port: number;
}

/** An answer ready to be sent. */
export interface Reply {
  readonly bytes: Uint8Array;
  readonly to: Destination;
}

/** What a server makes of one message. */
export interface Answer<State> {
  readonly state: State;
  readonly notes: readonly ServeNote[];
  readonly reply?: Reply;
}
