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
    nameservers: list(
      "Name servers; more than 3 are refused. Default none.",
      text("IPv4 or IPv6 address of a server; anything else is refused."),
    ),
    searches: list(
      "Search domains; refused above 6, or above 256 characters in all with a blank between two. Default none.",
      text("DNS-1123 subdomain; anything else is refused."),
    ),
    options: list(
      "Options of resolv.conf; any are taken. Default none.",
      object(
        "An option.",
        {},
        {
          name: text("Name, such as `ndots`. Required; the empty one is refused."),
          value: text("Value, such as `2`; any text is taken. Default none."),
        },
      ),
    ),
  },
);

/** `spec` of a VirtualMachineInstance, and of the template of a VirtualMachine. */
export const vmiSpec = object(
  "The guest that is asked for.",
  { domain },
  {
    networks: list(
      "What the interfaces are connected to; more than 256 are refused. Default: the pod network.",
      network,
    ),
    volumes: list("What the disks are made of; one that no disk or filesystem uses gets a disk. Default none.", volume),
    hostname: text(
      "Host name of the guest; refused where it is no DNS-1123 label. Default: the VMI's name up to its first dot.",
    ),
    subdomain: text(
      "Name of the headless Service that gives the guest its DNS name; refused where it is no DNS-1123 subdomain. Default none.",
    ),
    dnsPolicy: text(
      "`ClusterFirst`, `ClusterFirstWithHostNet`, `Default` or `None`, which needs `dnsConfig`; any other is refused. Default ClusterFirst.",
    ),
    dnsConfig,
    livenessProbe: probe("Restarts the guest when it fails."),
    readinessProbe: probe("Makes the VMI ready when it succeeds."),
    terminationGracePeriodSeconds: whole("Seconds that the guest gets to shut down. Default 30.", "int64"),
    nodeSelector: map("Labels that the node must have.", text("Value of the label.")),
    affinity: anyObject("Rules about nodes and neighbours."),
    tolerations: list("Taints of nodes that are accepted. Default none.", anyObject("A toleration.")),
    topologySpreadConstraints: spreadConstraints,
    schedulerName: text("Scheduler of the pod. Default: the cluster's."),
    priorityClassName: text("Priority class of the pod. Default: the cluster's."),
    evictionStrategy: text(
      "What a drained node does with the guest: `None`, `LiveMigrate`, `LiveMigrateIfPossible` or `External`; any other is refused. Default None.",
    ),
    startStrategy: text("`Paused` leaves the guest paused when it has been made. Default: it runs."),
    architecture: text("`amd64`, `arm64` or `s390x`. Default: the node's."),
    accessCredentials: list(
      "Keys and passwords that are put into the guest. Default none.",
      anyObject("A credential."),
    ),
    resourceClaims: list(
      "Claims of dynamic resource allocation. Default none.",
      anyObject("A claim: its name, and the claim or template."),
    ),
    utilityVolumes: list("Volumes that belong to the pod and not to the guest. Default none.", anyObject("A volume.")),
  },
);

export const virtualMachineInstance = object(
  "One running guest.",
  { apiVersion: text("`kubevirt.io/v1`."), kind: text("`VirtualMachineInstance`."), spec: vmiSpec },
  { metadata, status: vmiStatus },
);

export type VmiSpec = Static<typeof vmiSpec>;
export type VirtualMachineInstance = Static<typeof virtualMachineInstance>;
