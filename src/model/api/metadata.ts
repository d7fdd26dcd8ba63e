import { anything, flag, list, map, object, text, timestamp, whole } from "./schema.ts";

const ownerReference = object(
  "An object that this one belongs to: it goes when that one goes.",
  {
    apiVersion: text("Group and version of the owner."),
    kind: text("Kind of the owner."),
    name: text("Name of the owner, in this object's namespace."),
    uid: text("UID of the owner."),
  },
  {
    controller: flag("True for the one owner that manages this object."),
    blockOwnerDeletion: flag("True when foreground deletion of the owner waits for this object."),
  },
);

/** Metadata of every object (meta/v1). */
export const metadata = object(
  "What every object has: its name, labels and bookkeeping.",
  {},
  {
    name: text("Unique for the kind in its namespace; a DNS-1123 subdomain of at most 253 characters."),
    generateName: text("Prefix of a name that the API completes when `name` is empty."),
    namespace: text("Namespace of the object; `default` where a command names none."),
    labels: map("Words to select objects by.", text("Value of the label, at most 63 characters.")),
    annotations: map("Free text for programs, 256 KiB in all.", text("Value of the annotation.")),
    uid: text("Identity of the object, given by the API."),
    resourceVersion: text("Version of the object; an update with an older one is refused."),
    generation: whole("Counts the changes of what was asked for.", "int64"),
    creationTimestamp: timestamp("When the API stored the object first."),
    deletionTimestamp: timestamp("When the object is to be gone; set by a deletion that waits for finalizers."),
    deletionGracePeriodSeconds: whole("Seconds that a deletion leaves the object.", "int64"),
    finalizers: list("Programs that must act before the object goes.", text("Name of one of them.")),
    ownerReferences: list("Objects that this one belongs to.", ownerReference),
    managedFields: list("Which program set which field.", anything("An entry of server-side apply.")),
    selfLink: text("Address of the object; Kubernetes no longer sets it."),
  },
);
