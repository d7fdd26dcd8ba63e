import type { NicWiring } from "../bindings/binding.ts";
import { Fault } from "../fault.ts";
import { tableKey } from "./steps.ts";
import type { Wiring } from "./wiring.ts";

/** One wiring for the pod out of its NICs'; refuses two NICs that want different things of the same object (PB4001). */
export function mergeWirings(podUid: string, wirings: readonly NicWiring[]): Wiring {
  const kernels = wirings.map(({ kernel }) => kernel);
  return {
    podUid,
    kernel: {
      links: once(
        "link",
        wirings,
        ({ kernel }) => kernel.links,
        (link) => link.name,
      ),
      addresses: kernels.flatMap(({ addresses }) => addresses),
      localRoutes: kernels.flatMap(({ localRoutes }) => localRoutes),
      sysctls: same(wirings),
      tables: once("table", wirings, ({ kernel }) => kernel.tables, tableKey),
    },
    nics: wirings.map(({ nic }) => nic),
    services: wirings.flatMap(({ services }) => (services === undefined ? [] : [services])),
    announcements: wirings.flatMap(({ announcements }) => announcements ?? []),
  };
}

function once<T>(
  what: string,
  wirings: readonly NicWiring[],
  items: (wiring: NicWiring) => readonly T[],
  key: (item: T) => string,
): T[] {
  const owner = new Map<string, string>();
  return wirings.flatMap((wiring) =>
    items(wiring).map((item) => {
      const taken = owner.get(key(item));
      if (taken !== undefined) throw conflict(`the ${what} "${key(item)}"`, taken, wiring.nic.name);
      owner.set(key(item), wiring.nic.name);
      return item;
    }),
  );
}

/** A sysctl may be wanted by several NICs as long as they agree. */
function same(wirings: readonly NicWiring[]): Wiring["kernel"]["sysctls"] {
  const wanted = new Map<string, { readonly value: string; readonly nic: string }>();
  for (const { kernel, nic } of wirings) {
    for (const { key, value } of kernel.sysctls) {
      const earlier = wanted.get(key);
      if (earlier !== undefined && earlier.value !== value)
        throw conflict(`the sysctl "${key}"`, earlier.nic, nic.name);
      if (earlier === undefined) wanted.set(key, { value, nic: nic.name });
    }
  }
  return [...wanted].map(([key, { value }]) => ({ key, value }));
}

function conflict(what: string, first: string, second: string): Fault {
  return new Fault("PB4001", `The interfaces "${first}" and "${second}" both want ${what}.`, {
    place: second,
    cure: "Give the second another binding or another network.",
    data: { first, second },
  });
}
