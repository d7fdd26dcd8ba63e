/** A VMI as users write it: one NIC on the pod network with a port, one disk. */
export function benchVmi(index: number): object {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: `bench-${index}`, namespace: "default", labels: { app: "bench", tier: `t${index % 10}` } },
    spec: {
      domain: {
        cpu: { cores: 1 },
        resources: { requests: { memory: "128Mi" } },
        devices: {
          disks: [{ name: "root", disk: { bus: "virtio" } }],
          interfaces: [{ name: "default", masquerade: {}, ports: [{ name: "http", port: 80 }] }],
        },
      },
      networks: [{ name: "default", pod: {} }],
      volumes: [{ name: "root", containerDisk: { image: "patchbay/guest:latest" } }],
    },
  };
}

/** A status as the node reports it; `message` makes it another. */
export function benchStatus(message: string): object {
  return {
    phase: "Running",
    nodeName: "bench",
    conditions: [{ type: "Ready", status: "True", reason: "GuestRunning", message }],
    interfaces: [
      {
        name: "default",
        mac: "02:00:00:00:00:01",
        ipAddress: "10.244.0.5",
        ipAddresses: ["10.244.0.5", "fd10:244::5"],
        podInterfaceName: "eth0",
        infoSource: "domain",
      },
    ],
  };
}
