/** An element with its attributes and what is in it: elements, or text. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly content: readonly XmlElement[] | string;
}

/** What may stand among children: nothing, one, or several. */
export type XmlContent = XmlElement | undefined | readonly XmlContent[];

/** An element; attributes that are undefined are left out, and children that are. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>> = {},
  ...content: readonly (XmlContent | string)[]
): XmlElement {
  const given = Object.entries(attributes).filter(
    (entry): entry is [string, string | number] => entry[1] !== undefined,
  );
  const [first] = content;
  return {
    name,
    attributes: Object.fromEntries(given),
    content: typeof first === "string" ? first : content.flatMap((one) => (typeof one === "string" ? [] : flat(one))),
  };
}

/** What there is of these, in their order. */
export function elements(...content: readonly XmlContent[]): readonly XmlElement[] {
  return content.flatMap(flat);
}

function flat(content: XmlContent): readonly XmlElement[] {
  if (content === undefined) return [];
  return isList(content) ? content.flatMap(flat) : [content];
}

function isList(content: XmlElement | readonly XmlContent[]): content is readonly XmlContent[] {
  return Array.isArray(content);
}

/** The element as text, two blanks a level, as virsh prints it. */
export function renderXml({ name, attributes, content }: XmlElement, depth = 0): string {
  const blanks = "  ".repeat(depth);
  const open = [name, ...Object.entries(attributes).map(([key, value]) => `${key}='${escapeXml(String(value))}'`)];
  const start = `${blanks}<${open.join(" ")}`;
  if (content.length === 0) return `${start}/>\n`;
  if (typeof content === "string") return `${start}>${escapeXml(content)}</${name}>\n`;
  return `${start}>\n${content.map((child) => renderXml(child, depth + 1)).join("")}${blanks}</${name}>\n`;
}

/**
 * Text as XML 1.0 has it in elements and in attributes of either quote (section 2.4). What it cannot say at all (section
 * 2.2) becomes U+FFFD; line ends and tabs are written as references, which attributes would turn into blanks otherwise.
 */
export function escapeXml(text: string): string {
  const sayable = text
    .toWellFormed()
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd");
  return sayable.replace(/[&<>"'\t\n\r]/g, (character) => ENTITIES[character] ?? character);
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
  "\t": "&#x9;",
  "\n": "&#xA;",
  "\r": "&#xD;",
};
