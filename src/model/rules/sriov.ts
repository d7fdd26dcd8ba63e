import type { AdmissionResponse } from "../api/admission.ts";
import type { FieldPath } from "../api/field-path.ts";
import { fieldPath } from "../api/field-path.ts";
import { isDnsLabel } from "../api/names.ts";
import type { KubeObject } from "../api/resource.ts";
import { SRIOV_GROUP } from "../api/sriov-resources.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../json.ts";
import { jsonTextsOf } from "../sriov/network-definition.ts";
import { parsePfName } from "../sriov/pf-name.ts";
import type { CauseType, Problem, RuleCode } from "./problem.ts";

/** As Kubernetes names the part of a resource behind the slash. */
const RESOURCE_NAME = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const PCI_ADDRESS = /^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;
const PCI_ID = /^[0-9a-f]{4}$/i;

/** What is wrong with an SriovNetworkNodePolicy or SriovNetwork whose shape is right; nothing for any other object. */
export function sriovProblems(object: JsonObject): readonly Problem[] {
  const group = (textAt(object, "apiVersion") ?? "").split("/")[0];
  if (group !== SRIOV_GROUP) return [];
  const spec = objectAt(object, "spec");
  switch (object["kind"]) {
    case "SriovNetworkNodePolicy":
      return [...resourceProblems(spec), ...selectorProblems(spec), ...refusedOf(spec)];
    case "SriovNetwork":
      return [...resourceProblems(spec), ...networkProblems(spec)];
    default:
      return [];
  }
}

/** Takes or refuses such an object. */
export function admitSriov(object: KubeObject): AdmissionResponse {
  const causes = sriovProblems(object).map(({ type, field, code, message, cure }) => ({
    reason: type,
    field,
    message: `${code}: ${message}${cure === undefined ? "" : ` ${cure}`}`,
  }));
  if (causes.length === 0) return { allowed: true, object, warnings: [] };
  const message = causes.map((cause) => cause.message).join(" ");
  return { allowed: false, status: 422, reason: "Invalid", message, causes, warnings: [] };
}

function problem(at: FieldPath, code: RuleCode, message: string, cure: string, type?: CauseType): Problem {
  return { type: type ?? "FieldValueInvalid", at, field: fieldPath(at), code, message, cure };
}

function resourceProblems(spec: JsonObject): Problem[] {
  const name = spec["resourceName"];
  if (typeof name !== "string" || RESOURCE_NAME.test(name)) return [];
  const message = `"${name}" cannot be the name of a resource.`;
  const cure = name.includes("/")
    ? "Write it without a prefix: openshift.io/ comes before it by itself."
    : "Use at most 63 letters, digits, dashes, dots and underscores.";
  return [problem(["spec", "resourceName"], "PB2802", message, cure)];
}

function selectorProblems(spec: JsonObject): Problem[] {
  const at = ["spec", "nicSelector"];
  const selector = spec["nicSelector"];
  if (!isJsonObject(selector)) return [];
  const texts = (key: string): readonly string[] => {
    const list = selector[key];
    return Array.isArray(list) ? list.filter((item) => typeof item === "string") : [];
  };
  const [names, devices] = [texts("pfNames"), texts("rootDevices")];
  const ids = (["vendor", "deviceID"] as const).flatMap((key) => {
    const id = textAt(selector, key);
    return id === undefined ? [] : [{ key, id }];
  });
  if (textAt(selector, "netFilter") !== undefined) {
    return [refused([...at, "netFilter"], "netFilter", "Select the card by pfNames or rootDevices.")];
  }
  if (names.length + devices.length + ids.length === 0) {
    const message = "The nicSelector selects no card.";
    return [
      problem(at, "PB2801", message, "Name cards by pfNames, rootDevices, vendor or deviceID.", "FieldValueRequired"),
    ];
  }
  return [
    ...names.flatMap((name, index) => rangeProblems(name, [...at, "pfNames", index], spec["numVfs"])),
    ...devices.flatMap((address, index) =>
      PCI_ADDRESS.test(address)
        ? []
        : [
            problem(
              [...at, "rootDevices", index],
              "PB2804",
              `"${address}" is no PCI address.`,
              "Write it as lspci -D does: 0000:02:00.0, in small letters.",
            ),
          ],
    ),
    ...ids.flatMap(({ key, id }) =>
      PCI_ID.test(id)
        ? []
        : [
            problem(
              [...at, key],
              "PB2805",
              `"${id}" is no PCI ID.`,
              "Use four hexadecimal digits, as lspci -n shows them.",
            ),
          ],
    ),
  ];
}

function rangeProblems(text: string, at: FieldPath, numVfs: unknown): Problem[] {
  const name = parsePfName(text);
  if (name === undefined) {
    return [
      problem(
        at,
        "PB2803",
        `"${text}" names no link, or no range of its virtual functions.`,
        "Use ens1f0 or ens1f0#0-3.",
      ),
    ];
  }
  if (name.last === undefined || typeof numVfs !== "number" || name.last < numVfs) return [];
  const message = `"${text}" ends at ${name.last}, and the last of ${numVfs} virtual functions is ${numVfs - 1}.`;
  return [problem(at, "PB2803", message, "Make numVfs larger, or the range smaller.")];
}

/** What the operator can do and this version cannot. */
function refusedOf(spec: JsonObject): Problem[] {
  const { isRdma, linkType, eSwitchMode, vdpaType } = spec;
  return [
    ...(isRdma === true ? [refused(["spec", "isRdma"], "RDMA", "Leave isRdma out.")] : []),
    ...(typeof linkType === "string" && /^ib$/i.test(linkType)
      ? [refused(["spec", "linkType"], "InfiniBand", "Use eth, or leave linkType out.")]
      : []),
    ...(eSwitchMode === "switchdev"
      ? [refused(["spec", "eSwitchMode"], "switchdev", "Use legacy, or leave eSwitchMode out.")]
      : []),
    ...(typeof vdpaType === "string" && vdpaType !== ""
      ? [refused(["spec", "vdpaType"], "vDPA", "Leave vdpaType out.")]
      : []),
  ];
}

function refused(at: FieldPath, what: string, cure: string): Problem {
  const message = `This version of Patchbay makes no virtual functions for ${what}.`;
  return problem(at, "PB2806", message, cure, "FieldValueNotSupported");
}

function networkProblems(spec: JsonObject): Problem[] {
  const texts = jsonTextsOf(spec).flatMap((reading) =>
    reading.problem === undefined
      ? []
      : [
          problem(
            ["spec", reading.field],
            "PB2807",
            `${reading.field} is not the JSON that it is to be: ${reading.problem}.`,
            reading.cure,
          ),
        ],
  );
  const { networkNamespace, minTxRate, maxTxRate, vlan, vlanQoS, vlanProto } = spec;
  const namespace =
    typeof networkNamespace === "string" && networkNamespace !== "" && !isDnsLabel(networkNamespace)
      ? [
          problem(
            ["spec", "networkNamespace"],
            "PB2809",
            `"${networkNamespace}" cannot be the name of a namespace.`,
            "Use at most 63 small letters, digits and dashes.",
          ),
        ]
      : [];
  const rates =
    typeof minTxRate === "number" && typeof maxTxRate === "number" && maxTxRate > 0 && minTxRate > maxTxRate
      ? [
          problem(
            ["spec", "minTxRate"],
            "PB2808",
            `The least rate ${minTxRate} is above the greatest, ${maxTxRate}.`,
            "Make it no larger than maxTxRate.",
          ),
        ]
      : [];
  const untagged = vlan === undefined || vlan === 0;
  const isMarked =
    (typeof vlanQoS === "number" && vlanQoS > 0) || (typeof vlanProto === "string" && /ad$/i.test(vlanProto));
  const tags =
    untagged && isMarked
      ? [
          problem(
            ["spec", "vlan"],
            "PB2810",
            "A priority or a kind of tag is given, and no VLAN.",
            "Give vlan from 1 to 4094, or leave vlanQoS and vlanProto out.",
          ),
        ]
      : [];
  return [...texts, ...namespace, ...rates, ...tags];
}
