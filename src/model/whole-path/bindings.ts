import { type Finding, findingAt } from "../manifest/finding.ts";
import { RESOURCE_NAME } from "../networks/attachment-definitions.ts";
import { placedPlugins } from "./cni-source.ts";
import { type Instance, type InstanceNic, type Run, sourceOf } from "./run.ts";

/** Links that pass frames of one MAC only, which the bridge binding hands to the guest. */
const ONE_MAC: Readonly<
  Record<string, { readonly link: string; readonly how: string; readonly issue: number; readonly hint: string }>
> = {
  macvlan: {
    link: "a macvlan link",
    how: "passes frames of its own MAC only",
    issue: 5483,
    hint: "Here it works: the two are joined by nftables forwarding, with one MAC at both ends. For KubeVirt use the CNI plugin bridge, or macvtap.",
  },
  ipvlan: {
    link: "an ipvlan link",
    how: "has the MAC of the link below it and hears what is for its own addresses only",
    issue: 7001,
    hint: "Here it works: the two are joined by nftables forwarding, with one MAC at both ends, and the guest hears what is for the pod's addresses. For KubeVirt use the CNI plugin bridge.",
  },
};
/** Modes of an ipvlan link that has no ARP. */
const NO_ARP_MODES: readonly unknown[] = ["l3", "l3s"];

/** Plugins that make a link of another kind than the binding takes; those that are not listed may fit. */
const OTHER_LINKS: Readonly<Record<string, readonly string[]>> = {
  sriov: ["bridge", "ptp", "macvlan", "ipvlan", "vlan", "macvtap", "flannel", "loopback"],
  macvtap: ["bridge", "ptp", "macvlan", "ipvlan", "vlan", "ovs", "sriov", "host-device", "flannel", "loopback"],
};

/** Plugins whose link is a device that a device plugin hands out. */
const CLAIMS = new Set(["sriov", "macvtap"]);

/**
 * Bindings on the links that CNI plugins make: bridge on a link of one MAC (PB2709), sriov and macvtap on a link of
 * another kind or none (PB2715) or without a device to claim (PB2714).
 */
export function bindingFindings(run: Run): Finding[] {
  return run.instances.flatMap((instance) => instance.nics.flatMap((nic) => nicFindings(run, instance, nic)));
}

function nicFindings(run: Run, { document }: Instance, nic: InstanceNic): Finding[] {
  const source = sourceOf(run, nic.network);
  const { binding, name } = nic;
  const made = source === undefined ? run.operatorMade.get(nic.network?.definition ?? "") : undefined;
  if (binding === undefined || (source?.definition === undefined && made === undefined)) return [];
  const [main] = source === undefined ? [] : placedPlugins(source);
  const type = main?.plugin.type ?? made?.type ?? "";
  const where = `the definition ${nic.network?.definition ?? ""}`;
  const told = (problem: Omit<Parameters<typeof findingAt>[2], "severity">): Finding =>
    findingAt(document, [...nic.at, binding], { ...problem, severity: "warning" }, { part: "key" });
  const oneMac = Object.hasOwn(ONE_MAC, type) ? ONE_MAC[type] : undefined;
  if (binding === "bridge" && oneMac !== undefined) {
    const mode = type === "ipvlan" ? main?.plugin.config["mode"] : undefined;
    const hint = NO_ARP_MODES.includes(mode)
      ? `In the mode ${mode} it is refused here too (PB4009), as the link has no ARP: use the mode l2, or the CNI plugin bridge.`
      : oneMac.hint;
    return [
      told({
        code: "PB2709",
        message: `The interface "${name}" uses bridge, and ${where} makes ${oneMac.link}, which ${oneMac.how}: on KubeVirt the guest reaches nothing (its issue ${oneMac.issue}).`,
        hint,
      }),
    ];
  }
  if (OTHER_LINKS[binding]?.includes(type) === true) {
    return [
      told({
        code: "PB2715",
        message: `The interface "${name}" uses ${binding}, and ${where} makes its link by the CNI plugin ${type}, which gives no ${binding === "sriov" ? "virtual function" : "macvtap"}.`,
        expected: binding === "sriov" ? "the CNI plugin sriov, ib-sriov or host-device" : "the CNI plugin macvtap",
        hint: `Name another definition, or use ${type === "macvtap" ? "macvtap" : type === "sriov" ? "sriov" : "bridge"}.`,
      }),
    ];
  }
  if (binding === "bridge" && type === "sriov") {
    return [
      told({
        code: "PB2715",
        message: `The interface "${name}" uses bridge, and ${where} hands out a virtual function of a card: of one that is bound to vfio-pci, the only kind here, the pod gets no link.`,
        expected: "the binding sriov",
        hint: "Write sriov: {} in its place, or name another definition.",
      }),
    ];
  }
  const claims = CLAIMS.has(binding) || CLAIMS.has(type);
  if (
    !claims ||
    source?.definition === undefined ||
    source.definition.resourceName !== undefined ||
    main?.plugin.config["deviceID"] !== undefined
  )
    return [];
  return [
    told({
      code: "PB2714",
      message: `The interface "${name}" needs a device of a device plugin, and ${where} names no resource: none will be claimed for the pod.`,
      expected: `the annotation ${RESOURCE_NAME}`,
      hint: "Annotate the definition with the resource that the device plugin offers.",
    }),
  ];
}
