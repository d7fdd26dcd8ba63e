/** An import of a module, at a line (from 1). `specifier` is undefined where it is computed. */
export interface Import {
  readonly specifier: string | undefined;
  readonly line: number;
}

const beforeRegex = /(^|[([{,;=:?!&|+\-*%~^<>}]|\b(?:return|typeof|case|in|of|void|await|yield))\s*$/;

/**
 * TypeScript with comments blanked, and with the text of strings, templates and regular expressions blanked too when
 * `keepStrings` is false. Every character keeps its place, so that offsets give lines.
 */
export function blank(source: string, keepStrings: boolean): string {
  const out = [...source];
  const wipe = (from: number, to: number): void => {
    for (let at = from; at < to && at < out.length; at++) if (out[at] !== "\n") out[at] = " ";
  };
  let code = "";
  let at = 0;
  /** Depth of braces at which each open template goes on. */
  const templates: number[] = [];
  let depth = 0;
  const templateText = (): void => {
    const from = at;
    while (at < out.length && source[at] !== "`" && !(source[at] === "$" && source[at + 1] === "{")) {
      at += source[at] === "\\" ? 2 : 1;
    }
    if (!keepStrings) wipe(from, at);
    if (source[at] === "`") at += 1;
    else {
      templates.push(depth);
      depth += 1;
      at += 2;
    }
    code = "`";
  };
  while (at < source.length) {
    const here = source[at] ?? "";
    const pair = source.slice(at, at + 2);
    if (pair === "//" || pair === "/*") {
      const close = pair === "//" ? source.indexOf("\n", at) : source.indexOf("*/", at + 2) + 2;
      const to = close < at + 2 ? source.length : close;
      wipe(at, to);
      at = to;
    } else if (here === '"' || here === "'") {
      const from = at + 1;
      for (at = from; at < source.length && source[at] !== here && source[at] !== "\n"; at++)
        if (source[at] === "\\") at++;
      if (!keepStrings) wipe(from, at);
      at += 1;
      code = here;
    } else if (here === "`") {
      at += 1;
      templateText();
    } else if (here === "}" && templates.at(-1) === depth - 1) {
      depth -= 1;
      templates.pop();
      at += 1;
      templateText();
    } else if (here === "/" && beforeRegex.test(code)) {
      const from = at + 1;
      let inClass = false;
      for (at = from; at < source.length && source[at] !== "\n" && (inClass || source[at] !== "/"); at++) {
        if (source[at] === "\\") at++;
        else if (source[at] === "[") inClass = true;
        else if (source[at] === "]") inClass = false;
      }
      if (!keepStrings) wipe(from, at);
      at += 1;
      code = "/";
    } else {
      if (here === "{") depth += 1;
      if (here === "}") depth -= 1;
      code = `${code}${here}`.slice(-24);
      at += 1;
    }
  }
  return out.join("");
}

/** The line, from 1, of an offset. */
export function lineOf(source: string, offset: number): number {
  let line = 1;
  for (let at = source.indexOf("\n"); at !== -1 && at < offset; at = source.indexOf("\n", at + 1)) line++;
  return line;
}

/** Every import and re-export, static or dynamic, of values or of types. */
export function importsOf(source: string): readonly Import[] {
  const text = blank(source, true);
  const code = blank(source, false);
  const found: Import[] = [];
  const statement = /(?:^|[;\n])[^\S\n]*(?:import|export)\b(?:[^;"'`]*?\bfrom)?\s*(["'])/g;
  const dynamic = /\bimport\s*\(\s*(["']?)/g;
  for (const pattern of [statement, dynamic]) {
    for (const match of code.matchAll(pattern)) {
      const end = match.index + match[0].length;
      const quote = match[1] ?? "";
      const close = quote === "" ? -1 : text.indexOf(quote, end);
      const specifier = close === -1 ? undefined : text.slice(end, close);
      // A bare `import(` of a type position names its module too; one without a quote is computed.
      found.push({ specifier, line: lineOf(source, end - 1) });
    }
  }
  return found;
}
