import { isJsonObject, type JsonObject, objectAt, textAt } from "../json.ts";

/** What kubectl's users know where there is nothing to show. */
const NONE = "<none>";

function objectsAt(object: JsonObject, key: string): readonly JsonObject[] {
  const value = object[key];
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function textsAt(object: JsonObject, key: string): readonly string[] {
  const value = object[key];
  return Array.isArray(value) ? value.map(String) : [];
}

const spec = (object: JsonObject) => objectAt(object, "spec");
const status = (object: JsonObject) => objectAt(object, "status");

/** The text at a path of keys, or `<none>`. */
export function textOrNone(...path: readonly string[]): (object: JsonObject) => string {
  return (object) => {
    const last = path.at(-1) ?? "";
    return textAt(path.slice(0, -1).reduce(objectAt, object), last) ?? NONE;
  };
}

export const none = (): string => NONE;

/** `2/2`: how many of the containers are ready, those among them that run beside the others as init containers. */
export function podReady(object: JsonObject): string {
  const beside = objectsAt(spec(object), "initContainers").filter((each) => each["restartPolicy"] === "Always");
  const names = new Set(beside.map(({ name }) => name));
  const statuses = [
    ...objectsAt(status(object), "containerStatuses"),
    ...objectsAt(status(object), "initContainerStatuses").filter(({ name }) => names.has(name)),
  ];
  const ready = statuses.filter((each) => each["ready"] === true).length;
  return `${ready}/${objectsAt(spec(object), "containers").length + beside.length}`;
}

/** The phase, or what stands in its way. */
export function podStatus(object: JsonObject): string {
  const own = status(object);
  if (textAt(objectAt(object, "metadata"), "deletionTimestamp") !== undefined) return "Terminating";
  const reasons = objectsAt(own, "containerStatuses").flatMap((each) => {
    const state = objectAt(each, "state");
    return textAt(objectAt(state, "waiting"), "reason") ?? textAt(objectAt(state, "terminated"), "reason") ?? [];
  });
  return reasons[0] ?? textAt(own, "reason") ?? textAt(own, "phase") ?? "Pending";
}

export function podRestarts(object: JsonObject): number {
  const counts = objectsAt(status(object), "containerStatuses").map((each) => Number(each["restartCount"] ?? 0));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** `Ready`, `NotReady` or `Unknown`, and whether it takes no guests. */
export function nodeStatus(object: JsonObject): string {
  const condition = objectsAt(status(object), "conditions").find(({ type }) => type === "Ready");
  const words = [condition === undefined ? "Unknown" : condition["status"] === "True" ? "Ready" : "NotReady"];
  if (spec(object)["unschedulable"] === true) words.push("SchedulingDisabled");
  return words.join(",");
}

const ROLE = "node-role.kubernetes.io/";

export function nodeRoles(object: JsonObject): string {
  const labels = Object.keys(objectAt(objectAt(object, "metadata"), "labels"));
  const roles = labels.filter((label) => label.startsWith(ROLE) && label.length > ROLE.length);
  return (
    roles
      .map((label) => label.slice(ROLE.length))
      .toSorted()
      .join(",") || NONE
  );
}

export function nodeAddress(type: string): (object: JsonObject) => string {
  return (object) =>
    textAt(objectsAt(status(object), "addresses").find((each) => each["type"] === type) ?? {}, "address") ?? NONE;
}

/** `virtualmachineinstance/vm1`: what an event is about. */
export function eventObject(object: JsonObject): string {
  const about = objectAt(object, "involvedObject");
  const kind = (textAt(about, "kind") ?? "").toLowerCase();
  const name = textAt(about, "name");
  return name === undefined ? kind : `${kind}/${name}`;
}

export function eventSource(object: JsonObject): string {
  const source = objectAt(object, "source");
  return [textAt(source, "component") ?? textAt(object, "reportingComponent"), textAt(source, "host")]
    .filter((word) => word !== undefined)
    .join(", ");
}

/** How many keys the object holds. */
export function dataCount(object: JsonObject): number {
  return ["data", "binaryData"].reduce((sum, field) => sum + Object.keys(objectAt(object, field)).length, 0);
}

/** The phase, or that it is on its way out. */
export function claimStatus(object: JsonObject): string {
  if (textAt(objectAt(object, "metadata"), "deletionTimestamp") !== undefined) return "Terminating";
  return textAt(status(object), "phase") ?? "Pending";
}

const SHORT_MODES: Readonly<Record<string, string>> = {
  ReadWriteOnce: "RWO",
  ReadOnlyMany: "ROX",
  ReadWriteMany: "RWX",
  ReadWriteOncePod: "RWOP",
};

/** `RWO,ROX`: how a claim that is bound may be used. */
export function claimAccessModes(object: JsonObject): string {
  return [...new Set(textsAt(status(object), "accessModes"))].map((mode) => SHORT_MODES[mode] ?? mode).join(",");
}

/** `80/TCP,443:30443/TCP`. */
export function servicePorts(object: JsonObject): string {
  const ports = objectsAt(spec(object), "ports").map((port) => {
    const node = typeof port["nodePort"] === "number" && port["nodePort"] > 0 ? `:${port["nodePort"]}` : "";
    return `${String(port["port"])}${node}/${textAt(port, "protocol") ?? "TCP"}`;
  });
  return ports.join(",") || NONE;
}

export function serviceExternal(object: JsonObject): string {
  const own = spec(object);
  if (own["type"] === "ExternalName") return textAt(own, "externalName") ?? NONE;
  const balancer = objectsAt(objectAt(status(object), "loadBalancer"), "ingress").flatMap(
    (each) => textAt(each, "ip") ?? textAt(each, "hostname") ?? [],
  );
  const all = [...balancer, ...textsAt(own, "externalIPs")];
  return all.join(",") || (own["type"] === "LoadBalancer" ? "<pending>" : NONE);
}

export function serviceSelector(object: JsonObject): string {
  const pairs = Object.entries(objectAt(spec(object), "selector")).map(([key, value]) => `${key}=${String(value)}`);
  return pairs.toSorted().join(",") || NONE;
}

const MOST_SHOWN = 3;

export function slicePorts(object: JsonObject): string {
  return shortened(objectsAt(object, "ports").map((port) => String(port["port"] ?? "*"))) || "<unset>";
}

export function sliceEndpoints(object: JsonObject): string {
  return shortened(objectsAt(object, "endpoints").flatMap((each) => textsAt(each, "addresses"))) || "<unset>";
}

function shortened(words: readonly string[]): string {
  const more = words.length - MOST_SHOWN;
  return more <= 0 ? words.join(",") : `${words.slice(0, MOST_SHOWN).join(",")} + ${more} more...`;
}
