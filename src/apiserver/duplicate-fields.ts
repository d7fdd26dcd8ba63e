import { fieldPath } from "../model/api/field-path.ts";

/** More of them help nobody. */
const MOST_DUPLICATES = 100;
/** What is deeper is not told: such a document is refused, unless a later field of the same name took its place. */
const DEEPEST_TOLD = 100;
/** Characters of a name in a place; names of Kubernetes' have at most 317. */
const LONGEST_NAME = 320;

/**
 * The places of fields that a valid JSON text names more than once, `spec.ports[0].name`, at most 100. `fields` is how
 * many fields the parsed text has: where the text names as many, it is not read any closer.
 *
 * Takes time in proportion to the text.
 */
export function duplicateFields(text: string, fields: number): readonly string[] {
  return namesIn(text) === fields ? [] : findDuplicates(text);
}

/** How many names of fields stand in a valid JSON text. */
function namesIn(text: string): number {
  let names = 0;
  for (let open = text.indexOf('"'); open >= 0; ) {
    const end = endOfString(text, open);
    if (text.charCodeAt(behindSpace(text, end)) === COLON) names += 1;
    open = text.indexOf('"', end);
  }
  return names;
}

/** An object or a list that the reading is inside of. */
type Frame = { readonly times: Map<string, number>; name: string } | { index: number };

function findDuplicates(text: string): readonly string[] {
  const found: string[] = [];
  const frames: Frame[] = [];
  for (let at = 0; at < text.length && found.length < MOST_DUPLICATES; at += 1) {
    const frame = frames.at(-1);
    switch (text.charCodeAt(at)) {
      case OPEN_OBJECT:
        frames.push({ times: new Map(), name: "" });
        break;
      case OPEN_LIST:
        frames.push({ index: 0 });
        break;
      case CLOSE_OBJECT:
      case CLOSE_LIST:
        frames.pop();
        break;
      case COMMA:
        if (frame !== undefined && "index" in frame) frame.index += 1;
        break;
      case QUOTE: {
        const end = endOfString(text, at);
        const start = at;
        at = end - 1;
        if (frame !== undefined && "times" in frame && text.charCodeAt(behindSpace(text, end)) === COLON) {
          const name: string = JSON.parse(text.slice(start, end));
          const times = frame.times.get(name) ?? 0;
          frame.times.set(name, times + 1);
          frame.name = name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name;
          if (times !== 1 || frames.length > DEEPEST_TOLD) break;
          found.push(fieldPath(frames.map((each) => ("index" in each ? each.index : each.name))));
        }
        break;
      }
    }
  }
  return found;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** The place behind a string that begins at `open`. */
function endOfString(text: string, open: number): number {
  for (let from = open + 1; ; ) {
    const quote = text.indexOf('"', from);
    // No valid JSON is without it.
    if (quote < 0) return text.length;
    let escapes = 0;
    while (text.charCodeAt(quote - 1 - escapes) === BACKSLASH) escapes += 1;
    if (escapes % 2 === 0) return quote + 1;
    from = quote + 1;
  }
}

/** The place of the first character from `at` on that is no white space (RFC 8259 §2). */
function behindSpace(text: string, at: number): number {
  let place = at;
  for (;;) {
    const code = text.charCodeAt(place);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return place;
    place += 1;
  }
}
