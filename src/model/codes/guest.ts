/** The guest: images, volumes, QEMU. */
export const guestCodes = {
  PB5000: "QEMU failed",
} as const;
