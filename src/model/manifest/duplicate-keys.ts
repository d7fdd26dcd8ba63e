import { type Document, isScalar, visit, YAMLParseError } from "yaml";

/**
 * An error for each key of a document's maps that repeats an earlier one, in the order of the text.
 *
 * Takes time in proportion to the text; the library's own check (`uniqueKeys`) compares each key with all before it. Keys
 * that are no scalars are not compared.
 */
export function duplicateKeys(document: Document.Parsed): readonly YAMLParseError[] {
  const found: YAMLParseError[] = [];
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key) || (key.value === "<<" && key.type === "PLAIN")) continue;
        const [start, end] = key.range ?? [0, 0];
        if (seen.has(key.value))
          found.push(new YAMLParseError([start, end], "DUPLICATE_KEY", "Map keys must be unique"));
        seen.add(key.value);
      }
    },
  });
  return found.sort((one, other) => one.pos[0] - other.pos[0]);
}
