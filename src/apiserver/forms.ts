import type { IncomingMessage, ServerResponse } from "node:http";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { answerJson, answerText } from "./answers.ts";
import { revisionOf } from "./reads.ts";
import { type Representation, readIncludeObject } from "./representation.ts";
import { parseStored } from "./serving.ts";
import { makeTablePrinter, partialMetadata, type TablePrinter } from "./table.ts";
import { asItIs } from "./watch-events.ts";

/** A request to a resource, and what its answer is to look like. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly user: string;
  readonly form: Representation;
}

/** Objects in the form that a client asked for: as they are, as rows of a Table, or their metadata alone. */
export interface Forms {
  answer(
    exchange: Exchange,
    definition: ResourceDefinition,
    code: number,
    body: string,
    warnings?: readonly string[],
  ): void;
  /** One stored object as an event of a watch tells it; of Tables, the first has the columns. For one watch only. */
  representer(exchange: Exchange, definition: ResourceDefinition): (body: string) => string;
  printerOf(definition: ResourceDefinition): TablePrinter;
}

export function makeForms(now: () => number): Forms {
  const printers = new WeakMap<ResourceDefinition, TablePrinter>();

  function answer(
    { response, form, query }: Exchange,
    definition: ResourceDefinition,
    code: number,
    body: string,
    warnings: readonly string[] = [],
  ): void {
    if (form.as === "Table") {
      const object = parseStored(body);
      const include = readIncludeObject(query.get("includeObject"));
      const metadata = { resourceVersion: revisionOf(object) };
      answerJson(response, code, printerOf(definition).table([object], metadata, form.version, include), warnings);
    } else if (form.as === "PartialObjectMetadata") {
      answerJson(response, code, partialMetadata(parseStored(body), form.version), warnings);
    } else {
      answerText(response, code, body, warnings);
    }
  }

  function representer({ form, query }: Exchange, definition: ResourceDefinition): (body: string) => string {
    if (form.as === "Table") {
      const include = readIncludeObject(query.get("includeObject"));
      let isFirst = true;
      return (body) => {
        const object = parseStored(body);
        const metadata = { resourceVersion: revisionOf(object) };
        const table = printerOf(definition).table([object], metadata, form.version, include);
        const told = isFirst ? table : { ...table, columnDefinitions: null };
        isFirst = false;
        return JSON.stringify(told);
      };
    }
    if (form.as === "PartialObjectMetadata") {
      return (body) => JSON.stringify(partialMetadata(parseStored(body), form.version));
    }
    return asItIs;
  }

  function printerOf(definition: ResourceDefinition): TablePrinter {
    const known = printers.get(definition);
    if (known !== undefined) return known;
    const printer = makeTablePrinter(definition, now);
    printers.set(definition, printer);
    return printer;
  }

  return { answer, representer, printerOf };
}
