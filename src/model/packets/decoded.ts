/** What a decoder says of bytes that somebody sent: the value, or why it is none. Decoders never throw. */
export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: RefusalReason; readonly detail: string };

/**
 * Why bytes are refused: they end too early, contradict themselves or the protocol, carry a wrong checksum, or are
 * sound but of a kind that the decoder does not read.
 */
export type RefusalReason = "truncated" | "malformed" | "checksum" | "unsupported";

/** A value that was read. */
export function decoded<T>(value: T): Decoded<T> {
  return { ok: true, value };
}

/** A refusal; `detail` names the field. */
export function refused(reason: RefusalReason, detail: string): Decoded<never> {
  return { ok: false, reason, detail };
}
