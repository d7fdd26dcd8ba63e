import { problemAt } from "../rules/subject.ts";
import { type NetworkKind, networkPath, placedNetworks } from "./network.ts";

export const genie: NetworkKind = {
  field: "genie",
  needs: (network) =>
    network.kind !== "genie"
      ? []
      : [
          { what: "add-on", name: "CNI-Genie", phrase: "CNI-Genie, its configuration first in the CNI folder" },
          {
            what: "definition",
            name: network.networkName,
            phrase: `a CNI configuration of the type ${network.networkName} in the same folder`,
          },
        ],
  connect(network, networks) {
    if (network.genie === undefined) return undefined;
    const position = networks.filter((other) => other.genie !== undefined).indexOf(network);
    return {
      network: { kind: "genie", networkName: network.genie.networkName },
      podInterface: `eth${position}`,
    };
  },
  rules(subject, own) {
    const networks = placedNetworks(subject);
    const isOther = ({ network }: (typeof networks)[number]): boolean =>
      network.pod !== undefined || network.multus !== undefined;
    const firstGenie = networks.findIndex(({ network }) => network.genie !== undefined);
    const firstOther = networks.findIndex(isOther);
    // KubeVirt looked at the networks in turn, and at each with what it had seen before.
    const mixed = firstOther < 0 ? [] : networks.slice(Math.max(firstGenie, firstOther));
    return [
      ...mixed.map(({ network, index }) =>
        problemAt(subject, networkPath(index), {
          code: "PB2201",
          type: "FieldValueRequired",
          message: `The network "${network.name}" mixes genie with another kind of network.`,
          cure: "Make every network of the VMI a genie network, or none.",
        }),
      ),
      ...own
        .filter(({ network }) => network.genie?.networkName === "")
        .map(({ network, index }) =>
          problemAt(subject, networkPath(index), {
            code: "PB2202",
            type: "FieldValueRequired",
            message: `The genie network "${network.name}" names no CNI type.`,
            cure: "Add networkName: the CNI type of a configuration file, such as flannel.",
          }),
        ),
    ];
  },
};
