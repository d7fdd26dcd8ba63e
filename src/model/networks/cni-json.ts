/** What reading a JSON text gives: its value, or the place (lines and columns from 1) where it ceases to be JSON. */
export type JsonReading =
  | { readonly value: unknown }
  | { readonly problem: string; readonly line: number; readonly column: number };

/** Reads RFC 8259 JSON out of UTF-8 bytes or text; never throws. */
export function readJson(source: Uint8Array | string): JsonReading {
  let text: string;
  if (typeof source === "string") text = source;
  else {
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(source);
    } catch {
      return { problem: "it is not UTF-8 text", line: 1, column: 1 };
    }
  }
  try {
    return { value: JSON.parse(text) };
  } catch {
    const { offset, problem } = firstError(text);
    const before = text.slice(0, offset).split("\n");
    return { problem, line: before.length, column: (before.at(-1) ?? "").length + 1 };
  }
}

/** The engine's messages name no place for short texts, hence a scan of our own for texts that are known to be wrong. */
function firstError(text: string): { readonly offset: number; readonly problem: string } {
  const token =
    /[ \t\n\r]*(?:([{}[\],:])|("[ !#-[\]-\u{10ffff}]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[ !#-[\]-\u{10ffff}]*)*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-]))/uy;
  const blank = /[ \t\n\r]*/y;
  const open: string[] = [];
  /** What may come next: a value, a key, or what follows a value. */
  let expect: "value" | "value or ]" | "key" | "key or }" | ":" | "end" = "value";
  for (;;) {
    blank.lastIndex = token.lastIndex;
    blank.test(text);
    const start = blank.lastIndex;
    if (start >= text.length)
      return { offset: text.length, problem: `it ends where ${wanted(expect, open)} is expected` };
    const match = token.exec(text);
    if (match === null) return { offset: start, problem: spoiled(text, start, expect, open) };
    const [, mark, string] = match;
    const inside = open.at(-1);
    const isValue = mark === undefined || mark === "{" || mark === "[";
    const wrong = { offset: start, problem: spoiled(text, start, expect, open) };
    if (expect === "value" || expect === "value or ]") {
      if (mark === "]" && expect === "value or ]") open.pop();
      else if (!isValue) return wrong;
      else if (mark !== undefined) open.push(mark);
      expect = mark === "{" ? "key or }" : mark === "[" ? "value or ]" : "end";
    } else if (expect === "key" || expect === "key or }") {
      if (mark === "}" && expect === "key or }") {
        open.pop();
        expect = "end";
      } else if (string !== undefined) expect = ":";
      else return wrong;
    } else if (expect === ":") {
      if (mark !== ":") return wrong;
      expect = "value";
    } else if (mark === "," && inside !== undefined) expect = inside === "{" ? "key" : "value";
    else if ((mark === "}" && inside === "{") || (mark === "]" && inside === "[")) open.pop();
    else return wrong;
  }
}

function wanted(expect: string, open: readonly string[]): string {
  if (expect === "value") return "a value";
  if (expect === "value or ]") return 'a value or "]"';
  if (expect === "key") return "a quoted key";
  if (expect === "key or }") return 'a quoted key or "}"';
  if (expect === ":") return '":"';
  const inside = open.at(-1);
  return inside === undefined ? "its end" : inside === "{" ? '"," or "}"' : '"," or "]"';
}

function spoiled(text: string, offset: number, expect: string, open: readonly string[]): string {
  const found = /^(?:"[^"\n]{0,20}"?|[\w.+-]{1,20}|.)/su.exec(text.slice(offset))?.[0] ?? "";
  return `${JSON.stringify(found.replace(/^"|"$/g, "") || found)} stands where ${wanted(expect, open)} is expected`;
}
