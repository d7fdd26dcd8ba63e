import { Fault, isFault } from "../../model/fault.ts";
import { broken } from "./oci.ts";
import { type ImageReference, keptName, registryOf } from "./reference.ts";

/** How skopeo's last words tell what went wrong; the first that fits counts. Names of images are taken out before. */
const SIGNS: readonly (readonly [RegExp, (reference: ImageReference, words: string) => Fault])[] = [
  [/no image found in (?:manifest list|image index)/, wrongPlatform],
  [/x509:|certificate|tls: /, untrusted],
  [/unauthorized|authentication required|denied|forbidden|invalid username|\b40[13]\b/i, refused],
  [/manifest unknown|name unknown|not known to registry|not found|\b404\b/i, notThere],
  [
    /no such host|server misbehaving|connection refused|connection reset|unreachable|no route to host|timeout|timed out|HTTP response to HTTPS client|\bEOF\b/i,
    unreachable,
  ],
];

/** What skopeo's failure means. Faults that are not skopeo's own words (it is missing, the disk is full) pass through. */
export function pullFault(reference: ImageReference, thrown: unknown): unknown {
  if (!isFault(thrown, "PB5005") || typeof thrown.data["words"] !== "string") return thrown;
  const words = said(thrown.data["words"]);
  const judged = words
    .replaceAll(`docker://${keptName(reference)}`, "")
    .replaceAll(keptName(reference), "")
    .replaceAll(reference.repository, "")
    .replaceAll(registryOf(reference), "");
  const sign = SIGNS.find(([pattern]) => pattern.test(judged));
  if (sign !== undefined) return sign[1](reference, words);
  return new Fault("PB5013", `The image ${keptName(reference)} cannot be pulled: ${words}.`, {
    cure: `Try again later, or take it from a file: patchbay image import ${keptName(reference)} FILE.`,
    place: keptName(reference),
    cause: thrown,
  });
}

/** The registry was connected and then sent nothing more. */
export function silentRegistry(reference: ImageReference, patienceMs: number): Fault {
  return unreachable(reference, `it has sent nothing for ${patienceMs / 1000} s`);
}

/** The message of skopeo's log line. */
function said(words: string): string {
  const message = /level=fatal msg="((?:[^"\\]|\\.)*)"/.exec(words)?.[1];
  return (message ?? words).replaceAll('\\"', '"').replaceAll("\\n", " ").trim().replace(/\.$/, "");
}

function notThere(reference: ImageReference): Fault {
  return new Fault("PB5010", `The registry ${registryOf(reference)} has no image ${keptName(reference)}.`, {
    cure: "Correct the name, its tag or its registry.",
    place: keptName(reference),
    data: { registry: registryOf(reference) },
  });
}

function refused(reference: ImageReference): Fault {
  const registry = registryOf(reference);
  return new Fault("PB5011", `The registry ${registry} does not give ${keptName(reference)} to just anyone.`, {
    cure: `Correct the name, or log in with \`skopeo login ${registry}\`, then pull again.`,
    place: keptName(reference),
    data: { registry },
  });
}

function unreachable(reference: ImageReference, words: string): Fault {
  const registry = registryOf(reference);
  return new Fault("PB5012", `The registry ${registry} cannot be reached: ${words}.`, {
    cure: `See that this machine reaches ${registry}, by a proxy (https_proxy) where one is needed; or carry the image over in a file: patchbay image import ${keptName(reference)} FILE.`,
    place: registry,
    data: { registry },
  });
}

function untrusted(reference: ImageReference, words: string): Fault {
  const registry = registryOf(reference);
  return new Fault("PB5012", `The registry ${registry} is not trusted: ${words}.`, {
    cure: `Put the certificate of its authority into /etc/containers/certs.d/${registry}/, as ca.crt.`,
    place: registry,
    data: { registry },
  });
}

function wrongPlatform(reference: ImageReference): Fault {
  return broken(`${keptName(reference)} has nothing for linux/amd64`, "Use an image for linux/amd64.");
}
