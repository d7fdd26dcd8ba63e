import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ImageStore, openImageStore } from "../src/host/images/store.ts";
import { guestManifest } from "./manifests.ts";

export const BLANK_IMAGE = "blank:latest";

/** Puts an image with an empty disk into a store: a guest that QEMU runs and that boots nothing, made in no time. */
export async function makeBlankImage(folder: string): Promise<ImageStore> {
  const store = await openImageStore(folder);
  const scratch = await mkdtemp(join(tmpdir(), "patchbay-blank-"));
  try {
    const source = join(scratch, "blank.img");
    await writeFile(source, Buffer.alloc(1 << 20));
    await store.create(BLANK_IMAGE, [{ path: "disk/blank.img", source }]);
    return store;
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** What a manifest with a blank guest says; each part takes the place of the usual one. */
export interface BlankWish {
  readonly name: string;
  readonly image?: string;
  readonly memory?: string;
  readonly binding?: Readonly<Record<string, unknown>>;
  readonly pod?: Readonly<Record<string, unknown>>;
  /** Merged into `spec.domain`. */
  readonly domain?: Readonly<Record<string, unknown>>;
  /** Merged into `spec`. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** A VirtualMachineInstance with one masquerade NIC that starts from the blank image's disk, as YAML. */
export function blankManifest(wish: BlankWish): string {
  return guestManifest({
    name: wish.name,
    spec: {
      domain: {
        resources: { requests: { memory: wish.memory ?? "64Mi" } },
        devices: {
          disks: [{ name: "root", disk: { bus: "virtio" } }],
          interfaces: [{ name: "default", ...(wish.binding ?? { masquerade: {} }) }],
        },
        ...wish.domain,
      },
      networks: [{ name: "default", pod: wish.pod ?? {} }],
      volumes: [{ name: "root", containerDisk: { image: wish.image ?? BLANK_IMAGE } }],
      ...wish.spec,
    },
  });
}
