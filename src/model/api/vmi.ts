import { domain } from "./domain.ts";
import { metadata } from "./metadata.ts";
import { network } from "./networks.ts";
import { spreadConstraints } from "./placement.ts";
import { probe } from "./probes.ts";
import { anyObject, list, map, object, type Static, text, whole } from "./schema.ts";
import { vmiStatus } from "./vmi-status.ts";
import { volume } from "./volumes.ts";

const dnsConfig = object(
  "Name servers of the pod, beside or in place of the cluster's.",
  {},
  {
    nameservers: list("At most 3.", text("IPv4 or IPv6 address of a server.")),
    searches: list("At most 6, 256 characters in all with a blank between two.", text("DNS-1123 subdomain.")),
    options: list(
      "Options of resolv.conf.",
      object(
        "An option.",
        {},
        { name: text("Name, such as `ndots`; must not be empty."), value: text("Value, such as `2`.") },
      ),
    ),
  },
);

/** `spec` of a VirtualMachineInstance, and of the template of a VirtualMachine. */
export const vmiSpec = object(
  "The guest that is asked for.",
  { domain },
  {
    networks: list("What the interfaces are connected to, at most 256. Default: the pod network.", network),
    volumes: list("What the disks are made of.", volume),
    hostname: text("Host name of the guest, a DNS-1123 label. Default: the VMI's name up to its first dot."),
    subdomain: text("Name of the headless Service that gives the guest its DNS name; a DNS-1123 subdomain."),
    dnsPolicy: text(
      "`ClusterFirst`, `ClusterFirstWithHostNet`, `Default` or `None`, which needs `dnsConfig`. Default ClusterFirst.",
    ),
    dnsConfig,
    livenessProbe: probe("Restarts the guest when it fails."),
    readinessProbe: probe("Makes the VMI ready when it succeeds."),
    terminationGracePeriodSeconds: whole("Seconds that the guest gets to shut down. Default 30.", "int64"),
    nodeSelector: map("Labels that the node must have.", text("Value of the label.")),
    affinity: anyObject("Rules about nodes and neighbours."),
    tolerations: list("Taints of nodes that are accepted.", anyObject("A toleration.")),
    topologySpreadConstraints: spreadConstraints,
    schedulerName: text("Scheduler of the pod."),
    priorityClassName: text("Priority of the pod."),
    evictionStrategy: text("`None`, `LiveMigrate`, `LiveMigrateIfPossible` or `External`."),
    startStrategy: text("`Paused` leaves the guest paused when it has been made."),
    architecture: text("`amd64`, `arm64` or `s390x`. Default: the node's."),
    accessCredentials: list("Keys and passwords that are put into the guest.", anyObject("A credential.")),
    resourceClaims: list(
      "Claims of dynamic resource allocation.",
      anyObject("A claim: its name, and the claim or template."),
    ),
    utilityVolumes: list("Volumes that belong to the pod and not to the guest.", anyObject("A volume.")),
  },
);

export const virtualMachineInstance = object(
  "One running guest.",
  { apiVersion: text("`kubevirt.io/v1`."), kind: text("`VirtualMachineInstance`."), spec: vmiSpec },
  { metadata, status: vmiStatus },
);

export type VmiSpec = Static<typeof vmiSpec>;
export type VirtualMachineInstance = Static<typeof virtualMachineInstance>;
