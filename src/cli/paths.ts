import { join, resolve } from "node:path";

/** Where things lie below a data folder. */
export interface DataPaths {
  readonly root: string;
  readonly kubeconfig: string;
  /** The API's objects. */
  readonly store: string;
  readonly pidFile: string;
  /** Held by the daemon as long as it lives. */
  readonly lock: string;
  /** How the daemon was last started. */
  readonly settings: string;
  readonly log: string;
  readonly pods: string;
  readonly guests: string;
  readonly logs: string;
  readonly images: string;
  readonly cache: string;
  /** Configuration of the embedded network, records of attachments, addresses given out. */
  readonly cni: string;
  /** What network cards were before policies changed them. */
  readonly sriov: string;
  /** Disk images of claims. */
  readonly claims: string;
}

export function dataPaths(dataDir: string): DataPaths {
  const root = resolve(dataDir);
  return {
    root,
    kubeconfig: join(root, "kubeconfig"),
    store: join(root, "store.db"),
    pidFile: join(root, "patchbay.pid"),
    lock: join(root, "patchbay.lock"),
    settings: join(root, "daemon.json"),
    log: join(root, "daemon.log"),
    pods: join(root, "pods"),
    guests: join(root, "guests"),
    logs: join(root, "logs"),
    images: join(root, "images"),
    cache: join(root, "cache"),
    cni: join(root, "cni"),
    sriov: join(root, "sriov.json"),
    claims: join(root, "claims"),
  };
}
