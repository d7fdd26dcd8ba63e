import { stringify } from "yaml";

/** The text of a kubeconfig with one cluster, one user and one context. */
export function kubeconfigText(
  server: string,
  caPem: string,
  user: { readonly name: string; readonly token: string },
): string {
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      { name: "patchbay", cluster: { server, "certificate-authority-data": Buffer.from(caPem).toString("base64") } },
    ],
    users: [{ name: user.name, user: { token: user.token } }],
    contexts: [{ name: "patchbay", context: { cluster: "patchbay", user: user.name, namespace: "default" } }],
    "current-context": "patchbay",
  });
}
