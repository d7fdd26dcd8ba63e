import type { Problem } from "./problem.ts";
import { interfacesOf, problemAt, type Subject } from "./subject.ts";

/** Encrypted memory: its gate, its firmware, and no booting from the network. */
export function judgeLaunchSecurity(subject: Subject): Problem[] {
  const { launchSecurity, firmware } = subject.spec.domain;
  if (launchSecurity === undefined) return [];
  // KubeVirt names a field one level up.
  const field = problemAt(subject, ["launchSecurity"], {
    code: "PB2059",
    type: "FieldValueInvalid",
    message: "",
  }).field;
  const refuse = (code: "PB2059" | "PB2409" | "PB2410" | "PB2413", message: string, cure: string): Problem =>
    problemAt(subject, ["domain", "launchSecurity"], { code, type: "FieldValueInvalid", field, message, cure });
  const kind = (["sev", "snp", "tdx"] as const).find((name) => launchSecurity[name] !== undefined);
  // KubeVirt 1.1 wanted the gate for an empty launchSecurity, too.
  if (kind === undefined && subject.profile === "v1.8") return [];
  const gate = kind === "tdx" ? "WorkloadEncryptionTDX" : "WorkloadEncryptionSEV";
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
  const efi = firmware?.bootloader?.efi;
  const boot = efi === undefined ? "no EFI" : efi.secureBoot === false ? undefined : "secure boot";
  return [
    ...(boot === undefined
      ? []
      : [refuse("PB2410", `${kind} does not work with ${boot}.`, "Set firmware.bootloader.efi.secureBoot: false.")]),
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
