import { type Finding, findingAt } from "../manifest/finding.ts";
import { RESOURCE_NAME } from "../networks/attachment-definitions.ts";
import { placedPlugins } from "./cni-source.ts";
import { type Instance, type InstanceNic, type Run, sourceOf } from "./run.ts";

/** Links that pass frames of one MAC only, which the bridge binding hands to the guest. */
const ONE_MAC: Readonly<
  Record<string, { readonly link: string; readonly how: string; readonly where: string; readonly hint: string }>
> = {
  macvlan: {
    link: "a macvlan link",
    how: "passes frames of its own MAC only",
    where: "on KubeVirt the guest reaches nothing (its issue 5483)",
    hint: "Here it works: the two are joined by nftables forwarding, with one MAC at both ends. For KubeVirt use the CNI plugin bridge, or macvtap.",
  },
  ipvlan: {
    link: "an ipvlan link",
    how: "has the MAC of the link below it and hears what is for its own addresses only",
    where: "the guest reaches nothing on KubeVirt (its issue 7001), and is refused here",
    hint: "Use the CNI plugin bridge or macvlan.",
  },
};

/** Plugins that make a link of another kind than the binding takes; those that are not listed may fit. */
const OTHER_LINKS: Readonly<Record<string, readonly string[]>> = {
  sriov: ["bridge", "ptp", "macvlan", "ipvlan", "vlan", "macvtap", "flannel", "loopback"],
  macvtap: ["bridge", "ptp", "macvlan", "ipvlan", "vlan", "ovs", "sriov", "host-device", "flannel", "loopback"],
};

/** Plugins whose link is a device that a device plugin hands out. */
const CLAIMS = new Set(["sriov", "macvtap"]);

/**
 * Bindings on the links that CNI plugins make: bridge on a link of one MAC (PB2709), sriov and macvtap on a link of
 * another kind (PB2715) or without a device to claim (PB2714).
 */
export function bindingFindings(run: Run): Finding[] {
  return run.instances.flatMap((instance) => instance.nics.flatMap((nic) => nicFindings(run, instance, nic)));
}

function nicFindings(run: Run, { document }: Instance, nic: InstanceNic): Finding[] {
  const source = sourceOf(run, nic.network);
  const { binding, name } = nic;
  if (source?.definition === undefined || binding === undefined) return [];
  const [main] = placedPlugins(source);
  const type = main?.plugin.type ?? "";
  const where = `the definition ${nic.network?.definition ?? ""}`;
  const at = [...nic.at, binding];
  const oneMac = Object.hasOwn(ONE_MAC, type) ? ONE_MAC[type] : undefined;
  if (binding === "bridge" && oneMac !== undefined) {
    return [
      findingAt(
        document,
        at,
        {
          code: "PB2709",
          severity: "warning",
          message: `The interface "${name}" uses bridge, and ${where} makes ${oneMac.link}, which ${oneMac.how}: ${oneMac.where}.`,
          hint: oneMac.hint,
        },
        { part: "key" },
      ),
    ];
  }
  if (OTHER_LINKS[binding]?.includes(type) === true) {
    return [
      findingAt(
        document,
        at,
        {
          code: "PB2715",
          severity: "warning",
          message: `The interface "${name}" uses ${binding}, and ${where} makes its link by the CNI plugin ${type}, which gives no ${binding === "sriov" ? "virtual function" : "macvtap"}.`,
          expected: binding === "sriov" ? "the CNI plugin sriov, ib-sriov or host-device" : "the CNI plugin macvtap",
          hint: `Name another definition, or use ${type === "macvtap" ? "macvtap" : type === "sriov" ? "sriov" : "bridge"}.`,
        },
        { part: "key" },
      ),
    ];
  }
  const claims = CLAIMS.has(binding) || CLAIMS.has(type);
  if (!claims || source.definition.resourceName !== undefined || main?.plugin.config["deviceID"] !== undefined)
    return [];
  return [
    findingAt(
      document,
      at,
      {
        code: "PB2714",
        severity: "warning",
        message: `The interface "${name}" needs a device of a device plugin, and ${where} names no resource: none will be claimed for the pod.`,
        expected: `the annotation ${RESOURCE_NAME}`,
        hint: "Annotate the definition with the resource that the device plugin offers.",
      },
      { part: "key" },
    ),
  ];
}
