import { existsSync } from "node:fs";
import { copyFile, open } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../../model/fault.ts";
import { making } from "../images/volumes.ts";

/** A build of the EFI firmware: its code, and variables to begin with. */
export interface EfiFirmware {
  readonly code: string;
  readonly variables: string;
}

/** Where Debian's and Ubuntu's package ovmf puts it. */
const FOLDER = "/usr/share/OVMF";
/** Those with 4 MiB are newer; older machines have the other alone. */
const PLAIN = [
  ["OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"],
  ["OVMF_CODE.fd", "OVMF_VARS.fd"],
] as const;
/** With the keys of Microsoft, by which Debian's boot loader is signed as well. */
const SECURE = [
  ["OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd"],
  ["OVMF_CODE.ms.fd", "OVMF_VARS.ms.fd"],
] as const;

/**
 * The EFI firmware of this machine.
 *
 * @throws Fault PB5075
 */
export function findEfi(secureBoot: boolean, folder: string = FOLDER): EfiFirmware {
  for (const [code, variables] of secureBoot ? SECURE : PLAIN) {
    const found = { code: join(folder, code), variables: join(folder, variables) };
    if (existsSync(found.code) && existsSync(found.variables)) return found;
  }
  throw new Fault("PB5075", `This machine has no EFI firmware${secureBoot ? " with secure boot" : ""} in ${folder}.`, {
    place: "spec.domain.firmware.bootloader.efi",
    cure: "Install Debian's package for it: apt-get install ovmf; the VMI then starts by itself. Or use the BIOS: leave efi out.",
  });
}

const ELF_MAGIC = Buffer.from("\x7fELF", "latin1");

/**
 * Looks that a kernel is no ELF file: QEMU starts one by its PVH entry, which the EFI firmware does not know, and the guest
 * would stay in the firmware.
 *
 * @throws Fault PB5083
 */
export async function requireEfiKernel(file: string, kernelPath: string): Promise<void> {
  const handle = await open(file);
  try {
    const { buffer } = await handle.read(Buffer.alloc(ELF_MAGIC.length), 0, ELF_MAGIC.length, 0);
    if (!buffer.equals(ELF_MAGIC)) return;
  } finally {
    await handle.close();
  }
  throw new Fault("PB5083", `The EFI firmware cannot start the kernel ${kernelPath}: it is an ELF file (vmlinux).`, {
    place: "spec.domain.firmware.kernelBoot.container.kernelPath",
    cure: "Name the kernel as its distribution packs it, a bzImage (in patchbay/guest:latest /boot/bzImage). Or use the BIOS: leave efi out.",
  });
}

/** Gives a guest variables of its own, in a file of QEMU's user. Fails with PB5007. */
export async function placeVariables({ variables }: EfiFirmware, path: string): Promise<void> {
  await making(path, () => copyFile(variables, path));
}
