import type { TestEvent } from "node:test/reporters";

/**
 * A reporter of node:test for machines: one JSON object a line, see `FileEvent`. The test run gives it a file of its own
 * for every test file, so that what a test prints cannot be mistaken for it.
 */
export interface FileEvent {
  readonly type: "start" | "pass" | "fail" | "note";
  /** The names from the outermost suite inwards; empty for a note. */
  readonly path: readonly string[];
  readonly suite: boolean;
  /** The reason, where the test was skipped. */
  readonly skip: string | null;
  readonly todo: boolean;
  readonly milliseconds: number;
  /** The error of a failure, or the text of a note. */
  readonly text: string;
}

const nothing: FileEvent = {
  type: "note",
  path: [],
  suite: false,
  skip: null,
  todo: false,
  milliseconds: 0,
  text: "",
};

/** The summary's numbers, which the run counts itself, come as diagnostics too. */
const countPattern = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

function errorText(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(inner instanceof Error)) return String(inner);
  const stack = inner.stack ?? inner.message;
  return stack.includes(inner.message) ? stack : `${inner.message}\n${stack}`;
}

/** The reporter itself. */
// biome-ignore lint/style/noDefaultExport: node:test takes a reporter from the default export
export default async function* events(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const open: string[] = [];
  for await (const event of source) {
    const line = fileEvent(event, open);
    if (line !== undefined) yield `${JSON.stringify(line)}\n`;
  }
}

/** `open` holds the names of the tests that have begun and not ended, by nesting. */
function fileEvent(event: TestEvent, open: string[]): FileEvent | undefined {
  switch (event.type) {
    case "test:start": {
      open.length = event.data.nesting;
      open.push(event.data.name);
      return { ...nothing, type: "start", path: [...open] };
    }
    case "test:pass":
    case "test:fail": {
      const { data } = event;
      const failure = event.type === "test:fail" ? event.data.details.error : undefined;
      // A suite fails with its children, which have told already.
      const echo = failure !== undefined && "failureType" in failure && failure.failureType === "subtestsFailed";
      open.length = data.nesting;
      return {
        type: failure === undefined ? "pass" : "fail",
        path: [...open, data.name],
        suite: data.details.type === "suite" || echo,
        skip: data.skip === undefined || data.skip === false ? null : data.skip === true ? "" : data.skip,
        todo: data.todo !== undefined && data.todo !== false,
        milliseconds: data.details.duration_ms,
        text: failure === undefined ? "" : errorText(failure),
      };
    }
    case "test:diagnostic":
      return countPattern.test(event.data.message) ? undefined : { ...nothing, text: event.data.message };
    default:
      return undefined;
  }
}
