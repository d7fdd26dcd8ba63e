import { conditionsByType } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import {
  anyObject,
  asSet,
  atomic,
  flag,
  intOrText,
  keyed,
  list,
  map,
  object,
  openObject,
  type Static,
  text,
  whole,
  word,
} from "./schema.ts";

const PROTOCOLS = ["TCP", "UDP", "SCTP"] as const;

const servicePort = object(
  "A port of the Service.",
  { port: { ...whole("Number, 1 to 65535."), minimum: 1, maximum: 65535 } },
  {
    name: text("Name, a DNS label, each once; required where there are several ports."),
    protocol: { ...word("Default TCP.", PROTOCOLS), default: "TCP" },
    targetPort: intOrText("Port of the pods, as a number or by its name. Default: the same number."),
    nodePort: whole("Port of every node that leads here; for the types NodePort and LoadBalancer."),
    appProtocol: text("What is spoken on it, such as `http`."),
  },
);

const serviceSpec = object(
  "What is asked for.",
  {},
  {
    type: {
      ...word("How it can be reached.", ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
      default: "ClusterIP",
    },
    selector: atomic(
      map("Labels of the pods behind it; none: somebody else writes the EndpointSlices.", text("Value.")),
    ),
    ports: keyed(list("Ports of the Service.", servicePort), "port", "protocol"),
    clusterIP: text("Its address; `None` for a headless one, which is a DNS name only."),
    clusterIPs: list("Its addresses, one a family.", text("Address.")),
    ipFamilies: list("Families of its addresses.", word("One of them.", ["IPv4", "IPv6"])),
    ipFamilyPolicy: word("How many families it has.", ["SingleStack", "PreferDualStack", "RequireDualStack"]),
    externalName: text("DNS name that a Service of the type ExternalName stands for."),
    externalIPs: list("Further addresses that lead here.", text("Address.")),
    sessionAffinity: { ...word("Whether a client stays with its pod.", ["None", "ClientIP"]), default: "None" },
    sessionAffinityConfig: anyObject("How long a client stays with its pod."),
    externalTrafficPolicy: text("`Cluster` or `Local`: which pods traffic from outside goes to."),
    internalTrafficPolicy: text("`Cluster` or `Local`: which pods traffic from a node goes to."),
    trafficDistribution: text("Which pods traffic prefers."),
    healthCheckNodePort: whole("Port of every node that tells whether it has pods of the Service."),
    loadBalancerClass: text("What makes the load balancer."),
    loadBalancerIP: text("Address that is wished for the load balancer."),
    loadBalancerSourceRanges: list("Who may use the load balancer.", text("CIDR.")),
    allocateLoadBalancerNodePorts: flag("False: no ports of the nodes for a load balancer."),
    publishNotReadyAddresses: flag("True: pods that are not ready count too. Default false."),
  },
);

/** A stable name and address for pods. */
export const service = object(
  "A stable name and address for pods.",
  { apiVersion: text("`v1`."), kind: text("`Service`.") },
  {
    metadata,
    spec: serviceSpec,
    status: openObject("The Service as it is.", {
      conditions: conditionsByType,
      loadBalancer: anyObject("Addresses of a load balancer."),
    }),
  },
);

const endpoint = object(
  "One pod behind a Service, or another place.",
  { addresses: asSet(list("Its addresses; clients use the first.", text("Address of the slice's type."))) },
  {
    conditions: object(
      "Whether it can be used.",
      {},
      {
        ready: flag("True: takes new connections. Absent counts as true."),
        serving: flag("True: answers, even while it ends."),
        terminating: flag("True: is on its way out."),
      },
    ),
    hostname: text("Host name of the pod, a DNS label."),
    targetRef: atomic(
      openObject("The object behind it.", {
        apiVersion: text("Group and version."),
        kind: text("Kind."),
        namespace: text("Namespace."),
        name: text("Name."),
        uid: text("UID."),
      }),
    ),
    nodeName: text("Node that it is on."),
    zone: text("Zone that it is in."),
    hints: anyObject("Who should use it."),
    deprecatedTopology: map("Topology of former versions.", text("Value.")),
  },
);

/** Where the traffic of a Service goes. */
export const endpointSlice = object(
  "Part of the places that a Service leads to; its label kubernetes.io/service-name names the Service.",
  {
    apiVersion: text("`discovery.k8s.io/v1`."),
    kind: text("`EndpointSlice`."),
    addressType: word("What the addresses are; fixed.", ["IPv4", "IPv6", "FQDN"]),
    endpoints: { ...list("The places, at most 1000.", endpoint), maxItems: 1000 },
  },
  {
    metadata,
    ports: {
      ...list(
        "Ports of every place in it, at most 100.",
        object(
          "A port.",
          {},
          {
            // An empty name, not none: kubectl describe reads it without looking.
            name: { ...text("Name of the Service's port; each once. Default empty."), default: "" },
            port: whole("Number. Absent: all ports."),
            protocol: { ...word("Default TCP.", PROTOCOLS), default: "TCP" },
            appProtocol: text("What is spoken on it."),
          },
        ),
      ),
      maxItems: 100,
      "x-kubernetes-list-type": "atomic",
    },
  },
);

export type Service = Static<typeof service>;
export type EndpointSlice = Static<typeof endpointSlice>;
