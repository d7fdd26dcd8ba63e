import type { Box } from "./box.ts";
import { type Lane, STATIONS, type Station } from "./scene.ts";

/** A rectangle, in the picture's units. */
export interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface PlacedText extends Area {
  readonly text: string;
  readonly role: "title" | "line" | "serves" | "lane" | "frame";
}

export interface PlacedBox extends Area {
  readonly station: Station;
  readonly texts: readonly PlacedText[];
}

export interface PlacedArrow {
  readonly x1: number;
  readonly x2: number;
  readonly y: number;
  readonly inbound: boolean;
}

/** Everything at its place. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly PlacedBox[];
  readonly arrows: readonly PlacedArrow[];
  /** What encloses several boxes: the pod's namespace, the guest. */
  readonly frames: readonly (Area & { readonly name: string })[];
  readonly texts: readonly PlacedText[];
}

/** Width of a letter and height of a line of the monospaced text at {@link FONT_SIZE}. */
export const FONT_SIZE = 11;
const LETTER = 6.7;
const LINE = 15;
const PADDING = 7;
const GAP = 26;
const MARGIN = 14;
const LANE_GAP = 18;
/** Above a lane's boxes, for the frames' names and the NIC's. */
const HEAD = 34;

/** Letters that fit a station's box. */
const COLUMNS: Readonly<Record<Station, number>> = { outside: 14, node: 15, link: 21, middle: 26, tap: 21, guest: 21 };

/** Places lanes below each other, their stations in columns; the title stands above them. */
export function layOut(title: string, lanes: readonly Lane[]): Layout {
  const columns = columnAreas();
  const width = Math.max(...[...columns.values()].map(({ x, width: own }) => x + own)) + MARGIN;
  const boxes: PlacedBox[] = [];
  const arrows: PlacedArrow[] = [];
  const texts: PlacedText[] = [];
  let y = MARGIN;
  const say = (text: string, role: PlacedText["role"]): void => {
    // Beside the frames, not across them.
    for (const line of wrap(text, COLUMNS.outside + COLUMNS.node)) {
      texts.push(textAt(MARGIN, y, line, role));
      y += LINE;
    }
  };
  say(title, "title");
  if (lanes.length === 0) say("no NIC", "line");
  for (const lane of lanes) {
    say(`NIC ${lane.nic}: ${lane.binding}`, "lane");
    y = Math.max(y, MARGIN + HEAD) + LANE_GAP / 2;
    const heights = lane.boxes.map(([station, box]) => boxHeight(box, COLUMNS[station]));
    const height = Math.max(LINE, ...heights);
    const placed = lane.boxes.map(([station, box], index) =>
      placeBox(station, box, columns.get(station) ?? { x: 0, width: 0 }, y + (height - (heights[index] ?? 0)) / 2),
    );
    boxes.push(...placed);
    for (const [index, box] of placed.slice(1).entries()) {
      const before = placed[index];
      if (before === undefined) continue;
      arrows.push({ x1: before.x + before.width, x2: box.x, y: y + height / 2, inbound: lane.inbound });
    }
    y += height + LANE_GAP;
  }
  const bottom = (lanes.length === 0 ? y : y - LANE_GAP) + MARGIN;
  const frames = framesAround(columns, boxes, bottom);
  return {
    width: Math.ceil(width),
    height: Math.ceil(bottom + MARGIN),
    boxes,
    arrows,
    frames,
    texts: [...texts, ...frames.map(({ x, name }) => textAt(x + PADDING, MARGIN + LINE - 4, name, "frame"))],
  };
}

function columnAreas(): ReadonlyMap<Station, { readonly x: number; readonly width: number }> {
  const areas = new Map<Station, { readonly x: number; readonly width: number }>();
  let x = MARGIN;
  for (const station of STATIONS) {
    const width = COLUMNS[station] * LETTER + 2 * PADDING;
    areas.set(station, { x, width });
    x += width + GAP;
  }
  return areas;
}

function framesAround(
  columns: ReturnType<typeof columnAreas>,
  boxes: readonly PlacedBox[],
  bottom: number,
): Layout["frames"] {
  const frame = (name: string, from: Station, to: Station): Layout["frames"][number] => {
    const first = columns.get(from) ?? { x: 0, width: 0 };
    const last = columns.get(to) ?? { x: 0, width: 0 };
    const x = first.x - PADDING;
    return { name, x, y: MARGIN, width: last.x + last.width + PADDING - x, height: bottom - MARGIN };
  };
  return boxes.length === 0 ? [] : [frame("the pod's namespace", "link", "tap"), frame("the guest", "guest", "guest")];
}

function placeBox(
  station: Station,
  box: Box,
  { x, width }: { readonly x: number; readonly width: number },
  y: number,
): PlacedBox {
  const texts: PlacedText[] = [];
  let line = y + PADDING;
  for (const { text, role } of textsOf(box, COLUMNS[station])) {
    texts.push(textAt(x + PADDING, line, text, role));
    line += LINE;
  }
  return { station, x, y, width, height: line - y + PADDING, texts };
}

function boxHeight(box: Box, letters: number): number {
  return textsOf(box, letters).length * LINE + 2 * PADDING;
}

function textsOf({ title, lines, serves = [] }: Box, letters: number): { text: string; role: PlacedText["role"] }[] {
  const all: { text: string; role: PlacedText["role"] }[] = [
    ...wrap(title, letters).map((text) => ({ text, role: "title" as const })),
    ...lines.flatMap((line) => wrap(line, letters)).map((text) => ({ text, role: "line" as const })),
  ];
  if (serves.length === 0) return all;
  return [...all, ...wrap(`serves ${serves.join(" ")}`, letters).map((text) => ({ text, role: "serves" as const }))];
}

function textAt(x: number, y: number, text: string, role: PlacedText["role"]): PlacedText {
  return { x, y, width: [...text].length * LETTER, height: LINE, text, role };
}

/** Lines of so many letters at most; a word that is longer is broken where it must be. */
function wrap(text: string, letters: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    const parts = chunks(word, letters);
    for (const part of parts) {
      if (line !== "" && [...line].length + 1 + [...part].length > letters) {
        lines.push(line);
        line = part;
      } else line = line === "" ? part : `${line} ${part}`;
    }
  }
  return [...lines, line];
}

function chunks(word: string, letters: number): string[] {
  const all = [...word];
  const parts: string[] = [];
  for (let start = 0; start < all.length; start += letters) parts.push(all.slice(start, start + letters).join(""));
  return parts;
}
