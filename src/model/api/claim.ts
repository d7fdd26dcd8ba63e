import { conditionsByType } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import { anyObject, list, map, object, openObject, quantity, type Static, text, word } from "./schema.ts";

const accessMode = word("One of them: `ReadWriteOncePod` stands alone.", [
  "ReadWriteOnce",
  "ReadOnlyMany",
  "ReadWriteMany",
  "ReadWriteOncePod",
]);

const claimSpec = object(
  "What is asked for; fixed once it is stored.",
  {},
  {
    accessModes: list("How it may be used; at least one is required.", accessMode),
    resources: object(
      "How much of it.",
      {},
      {
        requests: map("The least of each; `storage` is required: bytes, `10Gi`.", quantity("Amount.")),
        limits: map("The most of each.", quantity("Amount.")),
      },
    ),
    volumeMode: {
      ...word("`Filesystem`, which a disk image lies on, or `Block`, a device of its own. Default Filesystem.", [
        "Filesystem",
        "Block",
      ]),
      default: "Filesystem",
    },
    storageClassName: text("Who provides it. Default: this machine."),
    volumeName: text("The volume that it is bound to; written by who provides it."),
    volumeAttributesClassName: text("Class of further properties of the volume. Default none."),
    selector: anyObject("Labels of the volumes that it may be bound to. Default any."),
    dataSource: anyObject("The object whose content it begins with. Default none: it begins empty."),
    dataSourceRef: anyObject("The same, for objects of any kind."),
  },
);

/** Storage that somebody asks for, and that stays when the guests that use it go. */
export const persistentVolumeClaim = object(
  "Storage that is asked for by size, and that stays when the guests that use it go.",
  { apiVersion: text("`v1`."), kind: text("`PersistentVolumeClaim`.") },
  {
    metadata,
    spec: claimSpec,
    status: openObject("The claim as it is.", {
      phase: text("`Pending`, `Bound` or `Lost`."),
      accessModes: list("How it may be used.", accessMode),
      capacity: map("How much there is.", quantity("Amount.")),
      conditions: conditionsByType,
    }),
  },
);

export type PersistentVolumeClaim = Static<typeof persistentVolumeClaim>;
