import { conditionsByType } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import { spreadConstraints } from "./placement.ts";
import {
  anyObject,
  atomic,
  flag,
  keyed,
  list,
  map,
  object,
  openObject,
  quantity,
  type Static,
  text,
  timestamp,
  whole,
  word,
} from "./schema.ts";

const containerPort = object(
  "A port of a container.",
  {},
  {
    name: text("IANA service name."),
    containerPort: whole("Port number."),
    protocol: { ...text("`TCP`, `UDP` or `SCTP`. Default TCP."), default: "TCP" },
    hostPort: whole("Port of the node that leads to it. Default none."),
    hostIP: text("Address of the node that `hostPort` is on. Default all."),
  },
);

const amounts = (description: string) => map(description, quantity("Amount."));

const resources = openObject("What is asked of the node.", {
  requests: amounts("What the node must have."),
  limits: amounts("What may be used at most."),
});

const environmentVariable = object(
  "An environment variable.",
  { name: text("Name of the variable.") },
  { value: text("Value of the variable."), valueFrom: anyObject("Where the value is taken from.") },
);

const mount = openObject("A place where a volume is seen.", {
  name: text("Name of the volume."),
  mountPath: text("Path in the container."),
  subPath: text("Path in the volume. Default its root."),
  readOnly: flag("True: not to be written to."),
});

const containerProbe = anyObject("How it is seen whether the container is well.");

const container = object(
  "A container.",
  {},
  {
    name: text("Name of the container, a DNS-1123 label, each once."),
    image: text("Reference of the image."),
    imagePullPolicy: text("`Always`, `IfNotPresent` or `Never`."),
    command: list("Program to run. Default: the image's.", text("Program, then its first arguments.")),
    args: list("Arguments of the program. Default: the image's.", text("An argument.")),
    workingDir: text("Folder that the program starts in. Default: the image's."),
    env: keyed(list("Environment variables.", environmentVariable), "name"),
    envFrom: list("Where whole sets of variables come from.", anyObject("A ConfigMap or a Secret.")),
    ports: keyed(list("Ports of the container.", containerPort), "containerPort", "protocol"),
    resources,
    volumeMounts: keyed(list("Where volumes are seen.", mount), "mountPath"),
    volumeDevices: keyed(
      list(
        "Where volumes are seen as block devices.",
        openObject("A device.", { devicePath: text("Path in the container.") }),
      ),
      "devicePath",
    ),
    livenessProbe: containerProbe,
    readinessProbe: containerProbe,
    startupProbe: containerProbe,
    lifecycle: anyObject("What is run after the start and before the end."),
    securityContext: anyObject("Rights of the container."),
    restartPolicy: text("`Always` for an init container that stays."),
    resizePolicy: list("What a change of resources leads to.", anyObject("A resource and what follows.")),
    terminationMessagePath: text("File with the container's last words."),
    terminationMessagePolicy: text("`File` or `FallbackToLogsOnError`."),
    stdin: flag("True keeps standard input open."),
    stdinOnce: flag("True closes standard input after the first client."),
    tty: flag("True gives it a terminal."),
    targetContainerName: text("Container whose processes an ephemeral one sees."),
  },
);

const dnsConfig = openObject("Name servers of the pod.", {
  nameservers: list("At most 3.", text("IPv4 or IPv6 address.")),
  searches: list("Search domains.", text("A domain.")),
  options: list(
    "Options of resolv.conf. Default none.",
    openObject("An option.", { name: text("Name."), value: text("Value.") }),
  ),
});

/** `spec` of a Pod, with every field of Kubernetes 1.32; what Patchbay does not read is taken as it is. */
const podSpec = object(
  "What is to run.",
  {},
  {
    nodeName: text("Node that runs the pod."),
    hostname: text("Host name of the pod."),
    subdomain: text("Subdomain of the pod."),
    dnsPolicy: text("Where name servers come from."),
    dnsConfig,
    restartPolicy: text("`Always`, `OnFailure` or `Never`."),
    containers: keyed(list("Containers.", container), "name"),
    initContainers: keyed(list("Containers that run to their end one by one, before the others.", container), "name"),
    ephemeralContainers: keyed(list("Containers that were added to look around.", container), "name"),
    volumes: keyed(
      list("What containers can mount.", openObject("A volume.", { name: text("Name, each once.") })),
      "name",
    ),
    nodeSelector: atomic(map("Labels that the node must have.", text("Value of the label."))),
    affinity: anyObject("Rules about nodes and neighbours."),
    tolerations: list("Taints of nodes that are accepted. Default none.", anyObject("A toleration.")),
    topologySpreadConstraints: spreadConstraints,
    terminationGracePeriodSeconds: whole("Seconds to end.", "int64"),
    activeDeadlineSeconds: whole("Seconds after which the pod is ended.", "int64"),
    serviceAccountName: text("Who the pod is to the API."),
    serviceAccount: text("Former name of `serviceAccountName`."),
    automountServiceAccountToken: flag("False leaves the account's token out."),
    imagePullSecrets: keyed(
      list("Credentials of registries.", atomic(openObject("A Secret.", { name: text("Its name.") }))),
      "name",
    ),
    securityContext: anyObject("Rights of all containers."),
    hostNetwork: flag("True: the node's network. Default false."),
    hostPID: flag("True: the node's processes. Default false."),
    hostIPC: flag("True: the node's shared memory. Default false."),
    hostUsers: flag("False: users of its own. Default true."),
    shareProcessNamespace: flag("True: containers see each other's processes."),
    hostAliases: keyed(list("More lines of /etc/hosts.", openObject("A line.", { ip: text("Address.") })), "ip"),
    setHostnameAsFQDN: flag("True: the host name is the whole domain name."),
    enableServiceLinks: flag("False leaves variables for Services out."),
    schedulerName: text("Program that chooses the node."),
    schedulingGates: keyed(
      list("What must be gone before a node is chosen.", openObject("A gate.", { name: text("Its name.") })),
      "name",
    ),
    priorityClassName: text("Name of the pod's priority."),
    priority: whole("The pod's priority as a number."),
    preemptionPolicy: text("`PreemptLowerPriority` or `Never`."),
    runtimeClassName: text("What runs the containers."),
    overhead: amounts("What the pod costs beside its containers."),
    os: anyObject("System that the pod is for."),
    readinessGates: list("Conditions that the pod's readiness also asks for.", anyObject("A condition.")),
    resourceClaims: keyed(
      list("Claims of dynamic resource allocation. Default none.", openObject("A claim.", { name: text("Its name.") })),
      "name",
    ),
    resources,
  },
);

const containerStatus = openObject("A container as it is.", {
  name: text("Name of the container."),
  ready: flag("True when it can be used."),
  restartCount: whole("Restarts so far."),
  state: anyObject("`waiting`, `running` or `terminated`, and since when."),
});

const podStatus = openObject("The pod as it is.", {
  phase: word("Where the pod is in its life.", ["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
  reason: text("One word that says why."),
  message: text("A sentence that says why."),
  podIP: text("The first of `podIPs`."),
  podIPs: keyed(
    list("Addresses, one a family.", object("An address.", {}, { ip: text("IPv4 or IPv6 address.") })),
    "ip",
  ),
  hostIP: text("Address of the node."),
  startTime: timestamp("When the node took the pod."),
  conditions: conditionsByType,
  initContainerStatuses: list("Init containers as they are.", containerStatus),
  containerStatuses: list("Containers as they are.", containerStatus),
  qosClass: text("`Guaranteed`, `Burstable` or `BestEffort`."),
});

export const pod = object(
  "A network sandbox; a guest runs in it.",
  { apiVersion: text("`v1`."), kind: text("`Pod`.") },
  { metadata, spec: podSpec, status: podStatus },
);

export type Pod = Static<typeof pod>;
export type PodStatus = Static<typeof podStatus>;
