import { join } from "node:path";
import { findEfi, placeVariables } from "../host/guest/efi.ts";
import { type GuestDevices, WATCHDOG_ACTIONS } from "../host/guest/guest-spec.ts";
import { requireHugepages } from "../host/guest/hugepages.ts";
import type { VmiSpec } from "../model/api/vmi.ts";
import { Fault } from "../model/fault.ts";
import { inputsOf } from "../model/guest/hardware-request.ts";
import { parseQuantity } from "../model/guest/quantity.ts";
import { memoryOf } from "../model/guest/topology.ts";
import { UNMADE_DEVICES, unmadeDevice } from "../model/guest/unmade.ts";
import { isJsonObject } from "../model/json.ts";

type Domain = VmiSpec["domain"];

/** The guest's copy of the EFI's variables, in its folder. */
const EFI_VARIABLES = "efi-variables.fd";

/**
 * What a guest has beside disks and NICs, after a look that this machine can give it; makes nothing.
 *
 * @throws Fault PB5075 (EFI), PB5076 (huge pages), PB5077 (a device that is not made here)
 */
export function devicesOf(domain: Domain): GuestDevices {
  const { devices, firmware } = domain;
  refuse(domain);
  const efi = firmware?.bootloader?.efi;
  const secureBoot = efi?.secureBoot ?? true;
  const watchdog = watchdogOf(devices.watchdog);
  const hugepageBytes = hugepagesOf(domain);
  return {
    tablets: tabletsOf(domain),
    ...(watchdog === undefined ? {} : { watchdog }),
    ...(efi === undefined ? {} : { efi: { code: findEfi(secureBoot).code, variables: EFI_VARIABLES, secureBoot } }),
    ...(firmware?.serial ? { serial: firmware.serial } : {}),
    ...(hugepageBytes === undefined ? {} : { hugepageBytes }),
  };
}

/** Makes the files that the devices need in the guest's folder. */
export async function prepareDevices({ efi }: GuestDevices, runDir: string): Promise<void> {
  if (efi !== undefined) await placeVariables(findEfi(efi.secureBoot), join(runDir, efi.variables));
}

function refuse({ devices, launchSecurity }: Domain): void {
  if (launchSecurity !== undefined) {
    const place = "spec.domain.launchSecurity";
    throw new Fault("PB5077", `${place}: this version of Patchbay protects no guest's memory from its host.`, {
      place,
      cure: "Leave it out where the guest may be read by this machine.",
    });
  }
  for (const name of UNMADE_DEVICES) {
    if (!unmadeDevice(devices, name)) continue;
    const place = `spec.domain.devices.${name}`;
    throw new Fault("PB5077", `${place}: this version of Patchbay gives guests no such device.`, {
      place,
      cure: "Leave it out.",
    });
  }
}

function watchdogOf(watchdog: unknown): GuestDevices["watchdog"] {
  if (!isJsonObject(watchdog)) return undefined;
  const { i6300esb } = watchdog;
  const place = "spec.domain.devices.watchdog";
  if (!isJsonObject(i6300esb)) {
    throw new Fault("PB5077", `${place} names no watchdog that this machine's guests can have.`, {
      place,
      cure: "Write i6300esb: {action: poweroff}.",
    });
  }
  const asked = i6300esb["action"] || "reset";
  const action = WATCHDOG_ACTIONS.find((known) => known === asked);
  if (action !== undefined) return action;
  throw new Fault("PB5077", `${place}: a watchdog cannot do "${String(asked)}".`, {
    place: `${place}.i6300esb.action`,
    cure: `Use one of ${WATCHDOG_ACTIONS.join(", ")}.`,
  });
}

function hugepagesOf(domain: Domain): number | undefined {
  const asked = domain.memory?.hugepages;
  if (asked === undefined) return undefined;
  const pageBytes = parseQuantity(asked.pageSize ?? "");
  if (pageBytes === undefined || pageBytes < 4096n) {
    throw new Fault("PB5076", `"${asked.pageSize ?? ""}" is no size of huge pages.`, {
      place: "spec.domain.memory.hugepages.pageSize",
      cure: "Use 2Mi or 1Gi.",
    });
  }
  requireHugepages(pageBytes, memoryOf(domain));
  return Number(pageBytes);
}

function tabletsOf(domain: Domain): NonNullable<GuestDevices["tablets"]> {
  return inputsOf(domain).map(({ name, type, bus }, index) => {
    if (type === "tablet" && (bus === "usb" || bus === "virtio")) return { name, bus };
    const place = `spec.domain.devices.inputs[${index}]`;
    throw new Fault("PB5077", `${place}: there is no input device "${type}" on the bus "${bus}".`, {
      place,
      cure: "Use type tablet, and bus usb or virtio.",
    });
  });
}
