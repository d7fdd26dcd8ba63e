import type { Actual, Step } from "./steps.ts";

/**
 * The steps that take `step` back on a kernel that was `before`; to be executed after the inverses of later steps.
 *
 * Addresses of the pod's own links are not among them: what such a link has lost comes back as the kernel told of it, with
 * properties that no step knows.
 */
export function inverse(step: Step, before: Actual): Step[] {
  switch (step.do) {
    case "tap.open":
      return [{ do: "link.delete", name: step.tap.name }];
    case "link.add":
      return [{ do: "link.delete", name: step.link.name }];
    case "link.rename":
      return [{ do: "link.rename", name: step.to, to: step.name }];
    case "link.set": {
      const link = before.links.find((candidate) => candidate.name === step.name);
      // One that was made goes; one that was moved gets its name back, for which it has to be free and down.
      if (link === undefined) {
        return [{ do: "link.set", name: step.name, ...(step.master === undefined ? {} : { master: null }), up: false }];
      }
      return [
        {
          do: "link.set",
          name: step.name,
          ...(step.mac === undefined ? {} : { mac: link.mac }),
          ...(step.mtu === undefined ? {} : { mtu: link.mtu }),
          ...(step.master === undefined ? {} : { master: link.master ?? null }),
          ...(step.up === undefined ? {} : { up: link.up }),
        },
      ];
    }
    case "port.learning": {
      const link = before.links.find((candidate) => candidate.name === step.name);
      return link?.learning === undefined ? [] : [{ do: "port.learning", name: step.name, on: link.learning }];
    }
    case "address.add":
      return [{ do: "address.delete", link: step.link, cidr: step.cidr }];
    case "route.add":
      return [{ do: "route.delete", link: step.link, destination: step.destination }];
    case "route.delete":
      return [{ do: "route.add", link: step.link, destination: step.destination }];
    case "sysctl.write": {
      const value = before.sysctls[step.key];
      return value === undefined ? [] : [{ do: "sysctl.write", key: step.key, value }];
    }
    case "table.create":
      return [{ do: "table.delete", family: step.table.family, name: step.table.name }];
    case "table.replace":
    case "table.restore":
    case "table.delete": {
      const { family, name } = step.do === "table.replace" ? step.table : step;
      const listing = before.tables[`${family} ${name}`];
      return [
        listing === undefined ? { do: "table.delete", family, name } : { do: "table.restore", family, name, listing },
      ];
    }
    case "address.delete":
    case "link.delete":
      return [];
  }
}
