/** The node agent, the controllers and the command line: PB6100–PB6199. */
export const nodeCodes = {
  PB6101: "a pod's record cannot be read",
  PB6102: "the guest ended while no daemon ran",
  PB6103: "the guest's QEMU ended",
  PB6104: "no node takes the VMI",
  PB6105: "a running guest lost its device",
  PB6106: "the node failed",
  PB6107: "a pod's record cannot be written",
  PB6108: "the pod of a running VMI was deleted",
  PB6110: "a daemon runs already",
  PB6111: "the daemon did not come up",
  PB6112: "no daemon answers",
  PB6113: "the daemon needs root",
  PB6114: "the VM did not become ready",
  PB6115: "there is no such VM",
  PB6116: "the guests belong to another node",
} as const;
