/** What only the flag `u` reads. Without the flag V8 can match in linear time, which users' patterns may need. */
const UNICODE = /[^\x20-\x7e]|\\[pPu]/;
const patterns = new Map<string, RegExp | undefined>();
const MOST_PATTERNS = 1_000;

/** A pattern of a schema as it is matched here; undefined where it is none that can be read. */
export function compilePattern(pattern: string): RegExp | undefined {
  if (!patterns.has(pattern)) {
    if (patterns.size >= MOST_PATTERNS) patterns.clear();
    patterns.set(
      pattern,
      UNICODE.test(pattern) ? (tryCompile(pattern, "u") ?? tryCompile(pattern, "")) : tryCompile(pattern, ""),
    );
  }
  return patterns.get(pattern);
}

function tryCompile(pattern: string, flags: string): RegExp | undefined {
  try {
    return new RegExp(pattern, flags);
  } catch {
    return undefined;
  }
}
