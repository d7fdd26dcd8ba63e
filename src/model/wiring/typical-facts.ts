import { PRIMARY_INTERFACE } from "../networks/pod-interface.ts";
import type { PodFacts } from "./facts.ts";

/** The facts of a dual-stack pod as a cluster network usually makes it: what `plan` and `explain` go by where no pod exists. */
export const typicalFacts: PodFacts = {
  podUid: "00000000-0000-0000-0000-000000000000",
  links: [
    {
      name: PRIMARY_INTERFACE,
      kind: "veth",
      mac: "02:00:00:00:00:01",
      mtu: 1500,
      up: true,
      addresses: [
        { cidr: "10.244.0.5/24", scope: "global" },
        { cidr: "fd10:244::5/64", scope: "global" },
        { cidr: "fe80::1234/64", scope: "link" },
      ],
    },
  ],
  routes: [
    { family: 4, destination: "0.0.0.0/0", gateway: "10.244.0.1", device: PRIMARY_INTERFACE },
    { family: 6, destination: "::/0", gateway: "fd10:244::1", device: PRIMARY_INTERFACE },
  ],
  resolver: {
    nameservers: ["10.96.0.10", "fd10:96::a"],
    search: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    options: ["ndots:5"],
  },
  networkStatus: [],
};
