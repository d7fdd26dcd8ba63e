import type { ScalarTag } from "yaml";

/**
 * Numbers as Kubernetes' YAML reader takes them: decimal, `0x`, `0o`, `0b`, octal after a bare 0, underscores anywhere.
 *
 * YAML 1.1 itself takes more: base 60 (which would make a number of a MAC) and bare exponents (of the NIC model `e1000`).
 */
export const numberTags: readonly ScalarTag[] = [
  {
    tag: "tag:yaml.org,2002:int",
    default: true,
    test: /^[-+]?(?:0[xX]_*[\da-fA-F][\da-fA-F_]*|0[oO]?_*[0-7][0-7_]*|0[bB]_*[01][01_]*|0|[1-9][\d_]*)$/,
    resolve: integer,
  },
  {
    tag: "tag:yaml.org,2002:float",
    default: true,
    test: /^[-+]?(?:\.\d[\d_]*|\d[\d_]*(?:\.[\d_]*)?)(?:[eE][-+]?\d+)?$/,
    resolve: (text) => Number(text.replaceAll("_", "")),
  },
];

function integer(text: string): number {
  const plain = text.replaceAll("_", "").replace(/^[-+]/, "");
  const sign = text.startsWith("-") ? -1 : 1;
  return sign * Number(/^0\d/.test(plain) ? `0o${plain.slice(1)}` : plain.toLowerCase());
}
