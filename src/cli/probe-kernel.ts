import { GUEST_IMAGE, guestPaths } from "../host/images/build-guest.ts";
import type { ImageStore } from "../host/images/store.ts";

/**
 * The test guest's kernel, where the store has it: what KVM is tried with. An image that cannot be read, or a full disk,
 * concerns that image's guests and keeps no daemon from starting; `unread` hears of it.
 */
export async function probeKernel(images: ImageStore, unread: (error: unknown) => void): Promise<string | undefined> {
  try {
    const image = await images.resolve(GUEST_IMAGE);
    return image === undefined ? undefined : await images.extract(GUEST_IMAGE, guestPaths.kernel);
  } catch (error) {
    unread(error);
    return undefined;
  }
}
