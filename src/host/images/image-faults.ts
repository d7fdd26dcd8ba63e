import { Fault, isFault } from "../../model/fault.ts";
import { nearMiss } from "../../model/near-miss.ts";
import { parseReference } from "./reference.ts";

/** The fault of an image that is wanted and not in the store, with the command that brings it. */
export function noImage(name: string): Fault {
  return new Fault("PB5001", `The image ${name} is not in the store.`, {
    cure: isBuilt(name)
      ? `Run \`${builder(name)}\`, which makes it.`
      : `Bring it with \`patchbay image pull ${name}\`, or from a file with \`patchbay image import ${name} FILE\`; or have another stand for it: \`patchbay image tag IMAGE ${name}\`.`,
    place: name,
    data: { image: name },
  });
}

/** The fault of a name that is to be changed and that no image has; `present` are those that there are. */
export function noSuchName(name: string, present: readonly string[]): Fault {
  const near = nearMiss(name, [...present, ...present.map((known) => known.replace(/:latest$/, ""))]);
  return new Fault("PB5001", `The image ${name} is not in the store.`, {
    cure: near === undefined ? "`patchbay image ls` lists those that are." : `Did you mean ${near}?`,
    place: name,
    data: { image: name },
  });
}

/** Work on an image; where the store's copy of it is broken, the fault names it and how to bring it anew. */
export async function naming<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!isFault(thrown, "PB5002") || thrown.place !== undefined) throw thrown;
    const anew = isBuilt(name)
      ? builder(name)
      : `patchbay image pull ${name}\` or \`patchbay image import ${name} FILE`;
    throw new Fault(thrown.code, thrown.message, {
      place: name,
      cure: `Remove it with \`patchbay image rm ${name}\` and bring it anew with \`${anew}\`.`,
      cause: thrown,
    });
  }
}

/** The command that makes an image of Patchbay's own. */
function builder(name: string): string {
  return `patchbay image ${parseReference(name).repository === "patchbay/guest" ? "build-guest" : "build-debian"}`;
}

function isBuilt(name: string): boolean {
  return ["patchbay/guest", "patchbay/debian"].includes(parseReference(name).repository);
}
