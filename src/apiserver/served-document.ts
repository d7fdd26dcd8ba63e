import type { MediaRange } from "./representation.ts";

/** A document that is no resource: its text and media type. */
export interface ServedDocument {
  readonly type: string;
  readonly content: string | Uint8Array;
  /** Default 200. */
  readonly code?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a client asks for where no resource lies. */
export interface DocumentRequest {
  readonly path: readonly string[];
  readonly accept: readonly MediaRange[];
  /** `hash` of the query: the state of the document that the client was told of. */
  readonly hash?: string;
  /** If-None-Match: the states that the client has. */
  readonly ifNoneMatch?: string;
}
