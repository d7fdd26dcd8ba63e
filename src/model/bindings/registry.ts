import { Fault } from "../fault.ts";
import type { Binding } from "./binding.ts";
import { masquerade } from "./masquerade.ts";

/** Every binding that this version can wire, by the field that users write. */
export const bindings: ReadonlyMap<string, Binding> = new Map([masquerade].map((binding) => [binding.name, binding]));

/** The binding of that name; a Fault that names those there are otherwise. */
export function bindingNamed(name: string, place: string): Binding {
  const binding = bindings.get(name);
  if (binding !== undefined) return binding;
  throw new Fault("PB4020", `${place}: this version of Patchbay cannot wire the binding "${name}".`, {
    place,
    cure: `Use one of: ${[...bindings.keys()].join(", ")}.`,
    data: { binding: name, known: [...bindings.keys()] },
  });
}
