import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { element, escapeXml, renderXml } from "./xml.ts";

/** What a reader of XML makes of text with references. */
function read(text: string): string {
  const named: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
  return text.replace(/&(?:#x([\dA-F]+)|(\w+));/g, (whole, hex: string | undefined, name: string | undefined) =>
    hex === undefined ? (named[name ?? ""] ?? whole) : String.fromCodePoint(Number.parseInt(hex, 16)),
  );
}

test("any text comes back as it was, and none ends its attribute or element", () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }));
  fc.assert(
    fc.property(text, (given) => {
      const escaped = escapeXml(given);
      assert.doesNotMatch(escaped, /[<>"'\t\n\r]|&(?!#x[\dA-F]+;|(?:amp|lt|gt|quot|apos);)/);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML cannot say these
      const sayable = given.toWellFormed().replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd");
      assert.equal(read(escaped), sayable);
    }),
  );
});

test("elements nest by two blanks; what is undefined is left out", () => {
  const tree = element("a", { x: 1, y: undefined }, element("b"), undefined, [
    element("c", {}, "1 < 2"),
    [element("d", { q: "it's" })],
  ]);
  assert.equal(renderXml(tree), "<a x='1'>\n  <b/>\n  <c>1 &lt; 2</c>\n  <d q='it&apos;s'/>\n</a>\n");
});
