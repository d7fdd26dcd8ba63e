import { hasSystemManagement } from "./machine.ts";
import type { CauseType, Problem } from "./problem.ts";
import { interfacesOf, problemAt, type Subject } from "./subject.ts";

const KINDS = ["sev", "snp", "tdx"] as const;
type Code = "PB2059" | "PB2409" | "PB2410" | "PB2413" | "PB2435" | "PB2436";

/** Encrypted memory: one kind, its gate, its firmware, and no booting from the network. */
export function judgeLaunchSecurity(subject: Subject): Problem[] {
  const { launchSecurity, features } = subject.spec.domain;
  if (launchSecurity === undefined) return [];
  const refuse = (code: Code, message: string, cure: string, type: CauseType = "FieldValueInvalid"): Problem => {
    const fault = { code, type, message, cure };
    // KubeVirt names a field one level up.
    const { field } = problemAt(subject, ["launchSecurity"], fault);
    return problemAt(subject, ["domain", "launchSecurity"], { ...fault, field });
  };
  const [kind, ...more] = KINDS.filter((name) => launchSecurity[name] !== undefined);
  if ((kind === undefined || more.length > 0) && subject.profile === "v1.8") {
    const used = [kind, ...more].join(", ");
    const message = kind === undefined ? "launchSecurity does not say of which kind." : `launchSecurity is ${used}.`;
    const cure = kind === undefined ? "Add one of sev, snp and tdx, or leave it out." : "Keep one of them.";
    return [refuse("PB2435", message, cure, "FieldValueForbidden")];
  }
  const gate = kind === "tdx" ? "WorkloadEncryptionTDX" : "WorkloadEncryptionSEV";
  // KubeVirt 1.1 wanted the gate for an empty launchSecurity, too.
  if (!subject.settings.gates.has(gate)) {
    return [
      refuse(
        "PB2409",
        `launchSecurity is used, and the feature gate ${gate} is not open.`,
        `Add ${gate} to spec.configuration.developerConfiguration.featureGates of the KubeVirt resource.`,
      ),
    ];
  }
  if (kind === undefined) return [];
  const attested = launchSecurity.sev?.["attestation"] !== undefined;
  return [
    ...firmwareFor(kind, subject).map(({ what, cure }) =>
      refuse("PB2410", `${kind} does not work with ${what}.`, cure),
    ),
    ...(kind === "tdx" && hasSystemManagement(features)
      ? [refuse("PB2436", "tdx does not work with system management mode.", "Set features.smm.enabled: false.")]
      : []),
    ...(attested && subject.spec.startStrategy !== "Paused"
      ? [refuse("PB2413", "Attestation of an sev guest happens before it runs.", "Set startStrategy: Paused.")]
      : []),
    ...interfacesOf(subject.spec)
      .filter((nic) => nic.bootOrder !== undefined)
      .map((nic) =>
        refuse(
          "PB2059",
          `${kind} does not work with booting from the interface "${nic.name}".`,
          "Remove its bootOrder.",
        ),
      ),
  ];
}

/** What of the guest's firmware does not go with a kind of encryption. */
function firmwareFor(kind: (typeof KINDS)[number], { spec }: Subject): { what: string; cure: string }[] {
  const efi = spec.domain.firmware?.bootloader?.efi;
  if (efi === undefined) return [{ what: "no EFI", cure: "Set firmware.bootloader.efi.secureBoot: false." }];
  return [
    ...(kind !== "tdx" && efi.secureBoot !== false
      ? [{ what: "secure boot", cure: "Set firmware.bootloader.efi.secureBoot: false." }]
      : []),
    ...(kind !== "sev" && efi.persistent === true
      ? [{ what: "EFI variables that stay", cure: "Remove firmware.bootloader.efi.persistent." }]
      : []),
  ];
}
