import { conditionsByType } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import {
  anyObject,
  asSet,
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
} from "./schema.ts";

const typeMeta = (kind: string) => ({ apiVersion: text("`v1`."), kind: text(`\`${kind}\`.`) });

export const namespace = object("A room for names.", typeMeta("Namespace"), {
  metadata,
  spec: openObject("What is asked of it.", {
    finalizers: list("Programs that must act before it goes.", text("Name of one of them.")),
  }),
  status: openObject("The namespace as it is.", {
    phase: text("`Active` or `Terminating`."),
    conditions: conditionsByType,
  }),
});

export const node = object("A machine that runs guests.", typeMeta("Node"), {
  metadata,
  spec: openObject("What is asked of it.", {
    podCIDR: text("The first of `podCIDRs`."),
    podCIDRs: asSet(list("Networks of its pods.", text("CIDR."))),
    unschedulable: flag("True: takes no more guests."),
    taints: list("What a guest must tolerate.", anyObject("A taint.")),
  }),
  status: openObject("The node as it is.", {
    conditions: keyed(
      list(
        "What is true of the node just now.",
        openObject("One statement.", { type: text("What the statement is about, such as `Ready`.") }),
      ),
      "type",
    ),
    addresses: keyed(
      list(
        "How to reach it.",
        object(
          "An address.",
          { type: text("`InternalIP`, `Hostname` and the like."), address: text("The address.") },
          {},
        ),
      ),
      "type",
    ),
    capacity: map("What it has.", quantity("Amount.")),
    allocatable: map("What guests can have of it.", quantity("Amount.")),
    nodeInfo: anyObject("Kernel, system, architecture, versions."),
  }),
});

const objectReference = atomic(
  openObject("The object in question.", {
    apiVersion: text("Group and version."),
    kind: text("Kind."),
    namespace: text("Namespace."),
    name: text("Name."),
    uid: text("UID."),
    resourceVersion: text("Version of the object."),
    fieldPath: text("Field in question."),
  }),
);

export const event = object(
  "Something that happened to an object.",
  { ...typeMeta("Event"), involvedObject: objectReference },
  {
    metadata,
    reason: text("One word that says why."),
    message: text("A sentence."),
    type: text("`Normal` or `Warning`."),
    action: text("What was done or failed."),
    count: whole("How often it happened."),
    firstTimestamp: timestamp("When it happened first."),
    lastTimestamp: timestamp("When it happened last."),
    eventTime: timestamp("When it was first seen."),
    series: anyObject("Repetitions."),
    related: objectReference,
    source: openObject("Who tells it.", { component: text("Program."), host: text("Node.") }),
    reportingComponent: text("Program that tells it."),
    reportingInstance: text("Which copy of the program."),
  },
);

export const configMap = object("Keys with text.", typeMeta("ConfigMap"), {
  metadata,
  data: map("Values that are UTF-8 text.", text("Value.")),
  binaryData: map("Values of any bytes.", text("Value in base64.")),
  immutable: flag("True: the data cannot be changed."),
});

export const secret = object("Keys with secret values.", typeMeta("Secret"), {
  metadata,
  type: text("What the secret is for. Default Opaque."),
  data: map("Values.", text("Value in base64.")),
  stringData: map("Values as text; merged into `data` when written.", text("Value.")),
  immutable: flag("True: the data cannot be changed."),
});

export type Namespace = Static<typeof namespace>;
export type Node = Static<typeof node>;
export type Event = Static<typeof event>;
export type ConfigMap = Static<typeof configMap>;
export type Secret = Static<typeof secret>;
