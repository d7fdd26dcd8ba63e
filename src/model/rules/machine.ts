import type { Domain } from "../api/domain.ts";
import { valueAt } from "../api/field-path.ts";
import { parseQuantity } from "../guest/quantity.ts";
import { nearMiss } from "../near-miss.ts";
import type { Problem, RuleCode } from "./problem.ts";
import { respelt } from "./respelt.ts";
import { problemAt, type Subject } from "./subject.ts";

const EVICTION_STRATEGIES = ["None", "LiveMigrate", "LiveMigrateIfPossible", "External"];

/** The rest of a spec: how it starts and how it leaves its node. */
export function judgeMachine(subject: Subject): Problem[] {
  return [
    ...startStrategy(subject),
    ...architecture(subject),
    ...evictionStrategy(subject),
    ...kernelBoot(subject),
    ...bootLoader(subject),
  ];
}

/** What a VMI needs and a template may still lack: memory. */
export function judgeMemory(subject: Subject): Problem[] {
  if (asksForMemory(subject.spec.domain)) return [];
  return [
    problemAt(subject, ["domain"], {
      code: "PB2401",
      type: "FieldValueRequired",
      field: "",
      message: "No memory is asked for.",
      cure: "Set domain.memory.guest or domain.resources.requests.memory.",
    }),
  ];
}

/** True where a `domain`, which need not be of the right shape, says how much memory its guest wants. */
export function asksForMemory(domain: unknown): boolean {
  const amounts = [
    valueAt(domain, ["resources", "requests", "memory"]),
    valueAt(domain, ["resources", "limits", "memory"]),
  ];
  return (
    amounts.some((amount) => isAmount(amount) && (parseQuantity(String(amount)) ?? 0n) !== 0n) ||
    valueAt(domain, ["memory", "guest"]) !== undefined ||
    valueAt(domain, ["memory", "hugepages"]) !== undefined
  );
}

function startStrategy(subject: Subject): Problem[] {
  const { startStrategy: given, livenessProbe } = subject.spec;
  if (given === undefined || (given === "Paused" && livenessProbe === undefined)) return [];
  const isPaused = given === "Paused";
  return [
    problemAt(subject, ["startStrategy"], {
      code: "PB2414",
      type: "FieldValueInvalid",
      message: isPaused
        ? "The guest starts paused, and a liveness probe would find it dead."
        : `The start strategy "${given}" is not known.`,
      cure: isPaused ? "Remove startStrategy or livenessProbe." : "Write Paused, or leave it out.",
    }),
  ];
}

/** What the guests' machine is; KubeVirt compares with its own. */
const ARCHITECTURE = "amd64";

function architecture(subject: Subject): Problem[] {
  const { architecture: given = "" } = subject.spec;
  if (given === "" || given === ARCHITECTURE || subject.settings.gates.has("MultiArchitecture")) return [];
  return [
    problemAt(subject, ["architecture"], {
      code: "PB2430",
      type: "FieldValueRequired",
      message: `The guest is to be of the architecture "${given}", and this machine is ${ARCHITECTURE}.`,
      cure: "Leave architecture out.",
    }),
  ];
}

function isAmount(value: unknown): value is string | number {
  return typeof value === "string" || typeof value === "number";
}

function evictionStrategy(subject: Subject): Problem[] {
  const strategy = subject.spec.evictionStrategy;
  if (strategy === undefined || EVICTION_STRATEGIES.includes(strategy)) return [];
  return [
    problemAt(subject, ["evictionStrategy"], {
      code: "PB2404",
      type: "FieldValueInvalid",
      message: `The eviction strategy "${strategy}" is not known.`,
      cure: `${respelt([nearMiss(strategy, EVICTION_STRATEGIES) ?? ""], () => true)}Use one of ${EVICTION_STRATEGIES.join(", ")}.`,
    }),
  ];
}

function kernelBoot(subject: Subject): Problem[] {
  const boot = subject.spec.domain.firmware?.kernelBoot;
  if (boot === undefined) return [];
  const at = ["domain", "firmware", "kernelBoot"];
  const refuse = (type: "FieldValueInvalid" | "FieldValueRequired", keys: string[], message: string, cure: string) =>
    problemAt(subject, [...at, ...keys], { code: "PB2415", type, message, cure });
  const { container, kernelArgs = "" } = boot;
  if (container === undefined) {
    if (kernelArgs === "") return [];
    return [refuse("FieldValueInvalid", ["kernelArgs"], "kernelArgs stand without a kernel.", "Add container.")];
  }
  const { image = "", kernelPath = "", initrdPath = "" } = container;
  return [
    ...(image === ""
      ? [refuse("FieldValueRequired", ["container", "image"], "kernelBoot names no image.", "Add container.image.")]
      : []),
    ...(kernelPath === "" && initrdPath === ""
      ? [
          refuse(
            "FieldValueRequired",
            ["container"],
            "kernelBoot names no file.",
            "Add kernelPath, initrdPath or both.",
          ),
        ]
      : []),
    ...Object.entries({ kernelPath, initrdPath }).flatMap(([key, path]) =>
      path === "" || isPlainPath(path)
        ? []
        : [
            refuse(
              "FieldValueInvalid",
              ["container", key],
              `${key} "${path}" is no absolute path of a file.`,
              "Begin it with a slash, and write it without . and ..",
            ),
          ],
    ),
  ];
}

/** Absolute, not the root, and in its shortest form but for one slash at the end. */
export function isPlainPath(path: string): boolean {
  if (!path.startsWith("/") || path === "/") return false;
  return path
    .replace(/\/$/, "")
    .slice(1)
    .split("/")
    .every((part) => part !== "" && part !== "." && part !== "..");
}

function bootLoader(subject: Subject): Problem[] {
  const { firmware, features } = subject.spec.domain;
  const { bios, efi } = firmware?.bootloader ?? {};
  const refuse = (code: RuleCode, keys: string[], message: string, cure: string): Problem =>
    problemAt(subject, ["domain", ...keys], { code, type: "FieldValueInvalid", message, cure });
  return [
    ...(bios !== undefined && efi !== undefined
      ? [refuse("PB2411", ["firmware", "bootloader"], "The boot loader is both BIOS and EFI.", "Keep one of them.")]
      : []),
    ...(efi !== undefined && efi.secureBoot !== false && !hasSystemManagement(features)
      ? [
          refuse(
            "PB2412",
            [],
            "EFI with secure boot needs system management mode.",
            "Set domain.features.smm.enabled, or domain.firmware.bootloader.efi.secureBoot: false.",
          ),
        ]
      : []),
  ];
}

/** True where `domain.features` switches system management mode on. */
export function hasSystemManagement(features: Domain["features"]): boolean {
  const smm = features?.["smm"];
  return typeof smm === "object" && smm !== null && (!("enabled" in smm) || smm.enabled === true);
}
