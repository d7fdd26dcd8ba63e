import { TOPICS, type Topic } from "./claim.ts";
import type { ExplainedNic, Explanation } from "./explain.ts";

const HEADING_WIDTH = 16;
const INDENT = 2;

/** An explanation as lines of at most `width` columns. */
export function renderExplanation(explanation: Explanation, width = 100): string {
  const { vmi, nics, running } = explanation;
  const title = `${vmi.namespace}/${vmi.name}${running ? "" : ", on a typical pod"}`;
  if (nics.length === 0) return `${title}\n\nIt has no NIC: nobody reaches it, and it reaches nobody.\n`;
  return `${[title, ...nics.map((nic) => renderNic(nic, width))].join("\n\n")}\n`;
}

function renderNic(nic: ExplainedNic, width: number): string {
  const down = nic.linkUp ? "" : ", its link down: nothing of what follows holds until its state is up";
  const title = `NIC ${nic.name}: ${nic.binding} on ${nic.network} (${nic.podInterface})${down}`;
  const claims = nic.claims.map(({ id, statement }) =>
    entry(TOPICS[id.slice(id.indexOf(".") + 1) as Topic], statement, width),
  );
  const notes = nic.notes.map(({ id, statement }) => entry(`note ${id}`, statement, width));
  return [title, ...claims, ...notes].join("\n");
}

/** A heading with its text beside it, hanging. */
function entry(heading: string, statement: string, width: number): string {
  const lines = wrapped(statement, Math.max(20, width - HEADING_WIDTH - INDENT));
  const pad = " ".repeat(INDENT);
  return lines.map((line, index) => `${pad}${(index === 0 ? heading : "").padEnd(HEADING_WIDTH)}${line}`).join("\n");
}

/** Lines of words; a word that is longer than a line has one of its own. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
