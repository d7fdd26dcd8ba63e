/**
 * Circles of imports, each as its files in the order in which one imports the next, the last one the first.
 *
 * Of circles that share files the shortest are told; what hangs on them is told once these are untied.
 */
export function circles(imports: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const told = new Set<string>();
  return [...imports.keys()].sort().flatMap((file) => {
    const circle = told.has(file) ? undefined : shortestCircle(file, imports);
    for (const member of circle ?? []) told.add(member);
    return circle === undefined ? [] : [circle];
  });
}

function shortestCircle(start: string, imports: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const importer = new Map<string, string>();
  const reached = [start];
  for (const file of reached) {
    for (const next of imports.get(file) ?? []) {
      if (next === start) return wayTo(file, importer);
      if (importer.has(next)) continue;
      importer.set(next, file);
      reached.push(next);
    }
  }
  return undefined;
}

function wayTo(file: string, importer: ReadonlyMap<string, string>): readonly string[] {
  const way = [file];
  for (let at = importer.get(file); at !== undefined; at = importer.get(at)) way.unshift(at);
  return way;
}
