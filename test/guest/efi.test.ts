import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { GUEST_IMAGE, GUEST_KERNEL_ARGS, guestPaths } from "../../src/host/images/build-guest.ts";
import { eventually, type TestGuest, TestHost } from "../daemon.ts";
import { type GuestWish, guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";

const NAME = "modern";
const FIRMWARE = "/usr/share/OVMF";
const FILES = ["OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"] as const;
/** Of a vendor that there is not. */
const VARIABLE = "PatchbayTest-5b0cf5a2-4b8e-4c6e-9d4f-3f1c0b7a2e11";
/** As the firmware keeps a variable's name (UEFI section 8.2). */
const STORED = Buffer.from("PatchbayTest", "utf16le");

/** The first four bytes of the file of a variable are its attributes: non-volatile, for the boot and the system. */
const LOOK = `#!/bin/sh
exec >/dev/console
echo "efi of $(cat /sys/firmware/efi/fw_platform_size) bits"
modprobe -q efivarfs
mount -t efivarfs none /mnt
printf '\\007\\000\\000\\000x' >/mnt/${VARIABLE}
ls /mnt | sed -n 's/^Boot/variable Boot/p'
echo looked-$((6 * 7))
`;

function byEfi(spec: GuestWish["spec"] = {}, kernelPath: string = guestPaths.bzImage): string {
  const container = {
    image: GUEST_IMAGE,
    kernelPath,
    initrdPath: guestPaths.initrd,
  };
  return guestManifest({
    name: NAME,
    memory: "256Mi",
    firmware: {
      bootloader: { efi: { secureBoot: false } },
      kernelBoot: { container, kernelArgs: GUEST_KERNEL_ARGS },
    },
    userData: LOOK,
    spec,
  });
}

test("EFI: the firmware starts a guest, with variables of its own", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "efi")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  const shown = join(host.dataDir, "firmware");
  await mkdir(shown);
  await host.showAt(FIRMWARE, shown);
  await host.up();
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));
  const template = await readFile(join(FIRMWARE, FILES[1]));
  const variablesOf = ({ folder }: TestGuest): Promise<Buffer> => readFile(join(folder, "efi-variables.fd"));

  const said = (code: string): Promise<string> =>
    eventually(
      code,
      async () => (await host.value("vmi", NAME, `.status.conditions[?(@.reason=="${code}")].message`)) || undefined,
    );

  await step("a kernel that the firmware would not start is told of, instead of a guest that stays in it", async () => {
    await host.kubectlOk(["apply", "-f", "-"], byEfi({}, guestPaths.kernel));
    assert.match(await said("PB5083"), /kernel \/boot\/vmlinuz: it is an ELF file .*\/boot\/bzImage/);
    await host.kubectlOk(["delete", "vmi", NAME]);
  });

  await step(
    "on a machine without the firmware it is told what brings it, and starts by itself once it is there",
    async () => {
      await host.kubectlOk(["apply", "-f", "-"], byEfi());
      assert.match(await said("PB5075"), /no EFI firmware in \/usr\/share\/OVMF.*apt-get install ovmf/);
      for (const file of FILES) {
        await copyFile(join(FIRMWARE, file), join(shown, "half"));
        await rename(join(shown, "half"), join(shown, file));
      }
      await host.guest(NAME);
    },
  );

  await step("the guest sees EFI, and sets a variable that its own copy of them keeps", async () => {
    const guest = await host.guest(NAME);
    const console = await eventually("what the guest saw", async () => {
      const text = (await readFile(join(guest.folder, "console.log"), "latin1")).replaceAll("\r", "");
      return text.includes("looked-42") && text;
    });
    assert.match(console, /^efi of 64 bits$/m);
    assert.match(console, /^variable BootOrder-/m);
    assert.ok((await variablesOf(guest)).includes(STORED));
    assert.equal(template.includes(STORED), false);
    assert.deepEqual(await readFile(join(FIRMWARE, FILES[1])), template);
    const { stdout } = await host.patchbay(["domxml", NAME]);
    assert.match(stdout, /<os firmware='efi'>[\s\S]*<feature enabled='no' name='secure-boot'\/>[\s\S]*<\/os>/);
  });

  await step("its variables go with it, and another one begins with the firmware's", async () => {
    const guest = await host.guest(NAME);
    await host.kubectlOk(["delete", "vmi", NAME]);
    await assert.rejects(stat(guest.folder));
    await host.kubectlOk(["apply", "-f", "-"], byEfi({ startStrategy: "Paused" }));
    const next = await host.guest(NAME);
    assert.notEqual(next.folder, guest.folder);
    assert.deepEqual(await variablesOf(next), template);
  });
});
