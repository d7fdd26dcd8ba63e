/** What a node has of SR-IOV, as sysfs tells it (Documentation/ABI/testing/sysfs-bus-pci). */
export interface SriovInventory {
  /** In the order of their PCI addresses. */
  readonly cards: readonly PhysicalFunction[];
  /** Drivers of PCI devices that are loaded, such as `vfio-pci`. */
  readonly drivers: readonly string[];
  /** Whether the machine has an IOMMU that is on. */
  readonly iommu: boolean;
}

/** A network card that can make virtual functions. */
export interface PhysicalFunction {
  /** `0000:02:00.0`. */
  readonly pci: string;
  /** Its link; absent where it has none in the host's namespace. */
  readonly link?: string;
  /** Four hexadecimal digits, in small letters. */
  readonly vendor: string;
  readonly device: string;
  readonly driver?: string;
  readonly mtu?: number;
  readonly up?: boolean;
  readonly totalVfs: number;
  /** In the order of their indexes. */
  readonly vfs: readonly VirtualFunction[];
}

export interface VirtualFunction {
  readonly index: number;
  readonly pci: string;
  readonly driver?: string;
  /** What `driver_override` says; absent where it says nothing. */
  readonly override?: string;
  /** Its IOMMU group. */
  readonly group?: number;
  /** Whether every other device of that group is driven by vfio-pci or by nothing. */
  readonly alone?: boolean;
  readonly numaNode?: number;
  /** Its link, where a network driver has made one in the host's namespace. */
  readonly link?: string;
  readonly mtu?: number;
}

/** The driver that hands devices over to guests. */
export const VFIO_DRIVER = "vfio-pci";
