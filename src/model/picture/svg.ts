import type { Plan } from "../wiring/plan.ts";
import { FONT_SIZE, type Layout, layOut, type PlacedArrow, type PlacedBox, type PlacedText } from "./layout.ts";
import { laneText, sceneOf } from "./scene.ts";

/** Colours for light and dark pages; the picture brings its own ground. */
const STYLE = `
.ground { fill: #ffffff }
.frame { fill: none; stroke: #8c959f; stroke-dasharray: 4 3 }
.box { fill: #f6f8fa; stroke: #57606a }
.outside, .node { fill: #eef2f6 }
.middle { fill: #fff8e1; stroke: #9a6700 }
.guest { fill: #e9f7ee; stroke: #1a7f37 }
text { font: ${FONT_SIZE}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328 }
.title, .lane { font-weight: bold }
.frame-name { fill: #57606a }
.serves { fill: #0550ae }
.way { stroke: #1f2328; fill: none; stroke-width: 1.4 }
.head { fill: #1f2328 }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117 }
  .frame { stroke: #6e7681 }
  .box { fill: #161b22; stroke: #8b949e }
  .outside, .node { fill: #1c2330 }
  .middle { fill: #2b2111; stroke: #d29922 }
  .guest { fill: #0f2a1a; stroke: #3fb950 }
  text { fill: #e6edf3 }
  .frame-name { fill: #8b949e }
  .serves { fill: #79c0ff }
  .way { stroke: #e6edf3 }
  .head { fill: #e6edf3 }
}`;

/** Between the pictures of several plans. */
const BETWEEN = 16;

/** Plans as one SVG document, each below the other: the way of every NIC's packets from the outside to the guest. */
export function planSvg(plans: readonly Plan[]): string {
  const drawn = plans.map((plan) => {
    const lanes = sceneOf(plan);
    const name = `${plan.vmi.namespace}/${plan.vmi.name}`;
    return { name, layout: layOut(name, lanes), text: lanes.map(laneText).join(" ") || "It has no NIC." };
  });
  const width = Math.max(1, ...drawn.map(({ layout }) => layout.width));
  let y = 0;
  const pictures = drawn.map(({ layout, name }) => {
    const picture = `<g transform="translate(0 ${y})" aria-label="${escaped(name)}">\n${draw(layout)}\n</g>`;
    y += layout.height + BETWEEN;
    return picture;
  });
  const height = Math.max(1, y - BETWEEN);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(drawn.map(({ name }) => name).join(", "))}</title>
<desc>${escaped(drawn.map(({ text }) => text).join(" "))}</desc>
<style>${STYLE}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>
<rect class="ground" width="${width}" height="${height}" rx="6"/>
${pictures.join("\n")}
</svg>
`;
}

function draw({ frames, boxes, arrows, texts }: Layout): string {
  return [
    ...frames.map(({ x, y, width, height }) => `<rect class="frame" ${at(x, y)} ${size(width, height)} rx="6"/>`),
    ...arrows.map(drawArrow),
    ...boxes.map(drawBox),
    ...texts.map(drawText),
  ].join("\n");
}

function drawBox({ station, x, y, width, height, texts }: PlacedBox): string {
  return [`<rect class="box ${station}" ${at(x, y)} ${size(width, height)} rx="4"/>`, ...texts.map(drawText)].join(
    "\n",
  );
}

/** Both ways, or only outwards where nothing comes in unasked. */
function drawArrow({ x1, x2, y, inbound }: PlacedArrow): string {
  const heads = `marker-start="url(#head)"${inbound ? ' marker-end="url(#head)"' : ""}`;
  return `<line class="way" x1="${n(x1 + 2)}" x2="${n(x2 - 2)}" y1="${n(y)}" y2="${n(y)}" ${heads}/>`;
}

function drawText({ x, y, height, text, role }: PlacedText): string {
  const name = role === "frame" ? "frame-name" : role;
  return `<text class="${name}" ${at(x, y + height - 4)} xml:space="preserve">${escaped(text)}</text>`;
}

function at(x: number, y: number): string {
  return `x="${n(x)}" y="${n(y)}"`;
}

function size(width: number, height: number): string {
  return `width="${n(width)}" height="${n(height)}"`;
}

/** A coordinate, short and always the same. */
function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  // XML takes no control characters.
  return text.replace(/[&<>"]/g, (sign) => entities[sign] ?? sign).replace(/[\p{Cc}\p{Cs}]/gu, "�");
}
