import { conditions } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import { anyObject, list, map, object, openObject, type Static, text, timestamp, whole, word } from "./schema.ts";

const containerPort = openObject("A port of a container.", {
  name: text("IANA service name."),
  containerPort: whole("Port number."),
  protocol: text("`TCP`, `UDP` or `SCTP`. Default TCP."),
});

const container = openObject("A container.", {
  name: text("Name of the container."),
  image: text("Reference of the image."),
  ports: list("Ports of the container.", containerPort),
  resources: anyObject("What is asked of the node."),
});

/** `spec` of a Pod, as far as Patchbay writes or reads it. */
const podSpec = openObject("What is to run.", {
  nodeName: text("Node that runs the pod."),
  hostname: text("Host name of the pod."),
  subdomain: text("Subdomain of the pod."),
  dnsPolicy: text("Where name servers come from."),
  dnsConfig: anyObject("Name servers of the pod."),
  restartPolicy: text("`Always`, `OnFailure` or `Never`."),
  containers: list("Containers.", container),
  nodeSelector: map("Labels that the node must have.", text("Value of the label.")),
  terminationGracePeriodSeconds: whole("Seconds to end.", "int64"),
});

const podStatus = openObject("The pod as it is.", {
  phase: word("Where the pod is in its life.", ["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
  reason: text("One word that says why."),
  message: text("A sentence that says why."),
  podIP: text("The first of `podIPs`."),
  podIPs: list("Addresses, one a family.", object("An address.", {}, { ip: text("IPv4 or IPv6 address.") })),
  hostIP: text("Address of the node."),
  startTime: timestamp("When the node took the pod."),
  conditions,
  containerStatuses: list(
    "Containers as they are.",
    openObject("A container.", { name: text("Name of the container."), restartCount: whole("Restarts so far.") }),
  ),
  qosClass: text("`Guaranteed`, `Burstable` or `BestEffort`."),
});

export const pod = object(
  "A network sandbox; a guest runs in it.",
  { apiVersion: text("`v1`."), kind: text("`Pod`.") },
  { metadata, spec: podSpec, status: podStatus },
);

export type Pod = Static<typeof pod>;
export type PodStatus = Static<typeof podStatus>;
