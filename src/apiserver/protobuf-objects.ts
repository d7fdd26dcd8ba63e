import { timestampOf } from "../model/api/timestamp.ts";
import type { JsonObject } from "../model/json.ts";
import { readFields, type WireField } from "./protobuf.ts";
import { badRequest, unsupportedMediaType } from "./refusals.ts";

/** The media type in which clients in Go write Kubernetes' own kinds. */
export const PROTOBUF = "application/vnd.kubernetes.protobuf";

type Reader = (values: readonly WireField["value"][]) => unknown;
/** JSON name and reader of each field by its number. */
type Message = Readonly<Record<number, readonly [name: string, read: Reader]>>;

const text: Reader = (values) => asText(values.at(-1));
const texts: Reader = (values) => values.map(asText);
const whole: Reader = (values) => Number(BigInt.asIntN(64, asNumber(values.at(-1))));
const flag: Reader = (values) => asNumber(values.at(-1)) !== 0n;
const base64: Reader = (values) => Buffer.from(asBytes(values.at(-1))).toString("base64");
const message =
  (fields: Message): Reader =>
  (values) =>
    decode(fields, asBytes(values.at(-1)));
const messages =
  (fields: Message): Reader =>
  (values) =>
    values.map((value) => decode(fields, asBytes(value)));

/** A map is a list of messages of key (1) and value (2). */
const map =
  (value: Reader): Reader =>
  (entries) =>
    Object.fromEntries(
      entries.map((entry) => {
        const fields = readFields(asBytes(entry));
        const of = (number: number) => fields.filter((field) => field.number === number).map((field) => field.value);
        return [asText(of(1).at(-1)), value(of(2).length === 0 ? [new Uint8Array()] : of(2))];
      }),
    );

/** A number that 0 stands for the absence of. */
const positive: Reader = (values) => whole(values) || null;

/** A false flag is an absent one. */
const raised: Reader = (values) => flag(values) || null;

/** IntOrString: its kind (1), the number (2), the text (3). */
const intOrText: Reader = (values) => {
  const fields = decode({ 1: ["kind", whole], 2: ["number", whole], 3: ["text", text] }, asBytes(values.at(-1)));
  return (fields["kind"] === 1 ? fields["text"] : fields["number"]) ?? null;
};

/** A zero time is an absent one. */
const time: Reader = (values) => {
  const seconds = readFields(asBytes(values.at(-1))).find(({ number }) => number === 1)?.value;
  if (seconds === undefined) return null;
  const milliseconds = Number(BigInt.asIntN(64, asNumber(seconds))) * 1_000;
  if (Math.abs(milliseconds) > 8.64e15) throw new RangeError("a time is out of range");
  return milliseconds < 0 ? null : timestampOf(milliseconds);
};

const OWNER: Message = {
  1: ["kind", text],
  3: ["name", text],
  4: ["uid", text],
  5: ["apiVersion", text],
  6: ["controller", flag],
  7: ["blockOwnerDeletion", flag],
};

const METADATA: Message = {
  1: ["name", text],
  2: ["generateName", text],
  3: ["namespace", text],
  5: ["uid", text],
  6: ["resourceVersion", text],
  7: ["generation", whole],
  8: ["creationTimestamp", time],
  9: ["deletionTimestamp", time],
  11: ["labels", map(text)],
  12: ["annotations", map(text)],
  13: ["ownerReferences", messages(OWNER)],
  14: ["finalizers", texts],
};

const PRECONDITIONS: Message = { 1: ["uid", text], 2: ["resourceVersion", text] };

const SERVICE_PORT: Message = {
  1: ["name", text],
  2: ["protocol", text],
  3: ["port", whole],
  4: ["targetPort", intOrText],
  5: ["nodePort", positive],
  6: ["appProtocol", text],
};

const SERVICE: Message = {
  1: ["ports", messages(SERVICE_PORT)],
  2: ["selector", map(text)],
  3: ["clusterIP", text],
  4: ["type", text],
  5: ["externalIPs", texts],
  7: ["sessionAffinity", text],
  8: ["loadBalancerIP", text],
  9: ["loadBalancerSourceRanges", texts],
  10: ["externalName", text],
  11: ["externalTrafficPolicy", text],
  12: ["healthCheckNodePort", positive],
  13: ["publishNotReadyAddresses", raised],
  17: ["ipFamilyPolicy", text],
  18: ["clusterIPs", texts],
  19: ["ipFamilies", texts],
  21: ["loadBalancerClass", text],
  22: ["internalTrafficPolicy", text],
};

const RESOURCE_ATTRIBUTES: Message = {
  1: ["namespace", text],
  2: ["verb", text],
  3: ["group", text],
  4: ["version", text],
  5: ["resource", text],
  6: ["subresource", text],
  7: ["name", text],
};

const ACCESS_REVIEW: Message = {
  1: ["resourceAttributes", message(RESOURCE_ATTRIBUTES)],
  2: ["nonResourceAttributes", message({ 1: ["path", text], 2: ["verb", text] })],
};

/**
 * The kinds that kubectl's own commands write in protobuf (`kubectl create namespace`, `configmap`, `secret`,
 * `service`, `kubectl auth`), with the field numbers of the files generated.proto in k8s.io/api/core/v1,
 * authorization/v1 and authentication/v1; manifests come as JSON.
 */
const KINDS: Readonly<Record<string, Message>> = {
  "v1 Namespace": {
    1: ["metadata", message(METADATA)],
    2: ["spec", message({ 1: ["finalizers", texts] })],
    3: ["status", message({ 1: ["phase", text] })],
  },
  "v1 ConfigMap": {
    1: ["metadata", message(METADATA)],
    2: ["data", map(text)],
    3: ["binaryData", map(base64)],
    4: ["immutable", flag],
  },
  "v1 Secret": {
    1: ["metadata", message(METADATA)],
    2: ["data", map(base64)],
    3: ["type", text],
    4: ["stringData", map(text)],
    5: ["immutable", flag],
  },
  "v1 Service": {
    1: ["metadata", message(METADATA)],
    2: ["spec", message(SERVICE)],
  },
  "authorization.k8s.io/v1 SelfSubjectAccessReview": {
    1: ["metadata", message(METADATA)],
    2: ["spec", message(ACCESS_REVIEW)],
  },
  "authorization.k8s.io/v1 SelfSubjectRulesReview": {
    1: ["metadata", message(METADATA)],
    2: ["spec", message({ 1: ["namespace", text] })],
  },
  "authentication.k8s.io/v1 SelfSubjectReview": { 1: ["metadata", message(METADATA)] },
  "v1 DeleteOptions": {
    1: ["gracePeriodSeconds", whole],
    2: ["preconditions", message(PRECONDITIONS)],
    3: ["orphanDependents", flag],
    4: ["propagationPolicy", text],
    5: ["dryRun", texts],
  },
};

const MAGIC = Buffer.from("k8s\0", "latin1");

/**
 * Reads an object in Kubernetes' protobuf form (runtime.Unknown behind four magic bytes) as the JSON that it stands for.
 *
 * @throws ApiError 400 where it is none, 415 for a kind that is taken as JSON only.
 */
export function readProtobufObject(bytes: Uint8Array): JsonObject {
  if (!MAGIC.equals(bytes.subarray(0, MAGIC.length))) throw badRequest("the body is no object in Kubernetes' protobuf");
  try {
    const envelope = decode(
      {
        1: ["type", message({ 1: ["apiVersion", text], 2: ["kind", text] })],
        2: ["raw", (values) => values.at(-1)],
      },
      bytes.subarray(MAGIC.length),
    );
    const { apiVersion, kind } = { apiVersion: "", kind: "", ...(envelope["type"] as JsonObject | undefined) };
    const fields = KINDS[kind === "DeleteOptions" ? "v1 DeleteOptions" : `${String(apiVersion)} ${String(kind)}`];
    if (fields === undefined) {
      throw unsupportedMediaType(
        `${String(kind)} of ${String(apiVersion)} is not taken as protobuf - accepted media types include: application/json, application/yaml`,
      );
    }
    const raw = envelope["raw"];
    return { apiVersion, kind, ...decode(fields, raw instanceof Uint8Array ? raw : new Uint8Array()) };
  } catch (thrown) {
    if (thrown instanceof RangeError || thrown instanceof TypeError) {
      throw badRequest(`the body is no object in Kubernetes' protobuf: ${thrown.message}`);
    }
    throw thrown;
  }
}

/** Empty texts and messages are absent fields: the generated writers of Kubernetes write them all the same. */
function decode(fields: Message, bytes: Uint8Array): JsonObject {
  const byNumber = Map.groupBy(readFields(bytes), ({ number }) => number);
  return Object.fromEntries(
    [...byNumber]
      .flatMap(([number, found]): [string, unknown][] => {
        const field = fields[number];
        return field === undefined ? [] : [[field[0], field[1](found.map(({ value }) => value))]];
      })
      .filter(([, value]) => value !== "" && value !== null),
  );
}

function asBytes(value: WireField["value"] | undefined): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new RangeError("a number stands where bytes are expected");
}

function asNumber(value: WireField["value"] | undefined): bigint {
  if (typeof value === "bigint") return value;
  throw new RangeError("bytes stand where a number is expected");
}

function asText(value: WireField["value"] | undefined): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(asBytes(value ?? new Uint8Array()));
}
