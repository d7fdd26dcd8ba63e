import { type Step, tableKey } from "./steps.ts";

/** A step as a phrase: `address 10.0.2.1/24 on tap0`. */
export function stepText(step: Step): string {
  switch (step.do) {
    case "tap.open":
      return `tap ${step.tap.name} with ${step.tap.queues} ${step.tap.queues === 1 ? "queue" : "queues"}`;
    case "link.add":
      return `${step.link.kind} ${step.link.name}`;
    case "link.rename":
      return `the name ${step.to} for link ${step.name}`;
    case "port.learning":
      return `learning ${step.on ? "on" : "off"} for port ${step.name}`;
    case "link.set": {
      const what = [
        ...(step.mac === undefined ? [] : [`MAC ${step.mac}`]),
        ...(step.mtu === undefined ? [] : [`MTU ${step.mtu}`]),
        ...(step.master === undefined ? [] : [step.master === null ? "no bridge" : `bridge ${step.master}`]),
        ...(step.up === undefined ? [] : [step.up ? "up" : "down"]),
      ];
      return `${what.join(", ")} for link ${step.name}`;
    }
    case "link.delete":
      return `deletion of link ${step.name}`;
    case "address.add":
      return `address ${step.cidr} on link ${step.link}`;
    case "address.delete":
      return `removal of address ${step.cidr} from link ${step.link}`;
    case "route.add":
      return `local route ${step.destination} on link ${step.link}`;
    case "route.delete":
      return `removal of local route ${step.destination} from link ${step.link}`;
    case "sysctl.write":
      return `sysctl ${step.key} = ${step.value}`;
    case "table.create":
    case "table.replace":
      return `table ${tableKey(step.table)}`;
    case "table.restore":
      return `former table ${tableKey(step)}`;
    case "table.delete":
      return `deletion of table ${tableKey(step)}`;
  }
}
