import { marker } from "../api/schema.ts";

/** `sriov: {}` of an interface. */
export const sriovSchema = marker(
  "Hands the guest a virtual function of a network card (VFIO). For multus networks whose attachment definition names a device resource.",
);
