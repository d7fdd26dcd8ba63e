import { notAcceptable } from "./refusals.ts";
import type { IncludeObject } from "./table.ts";

/** The forms in which objects are answered. */
export type Representation =
  | { readonly as: "object" }
  | { readonly as: "Table"; readonly version: "v1" | "v1beta1" }
  | { readonly as: "PartialObjectMetadata"; readonly version: "v1" | "v1beta1" }
  | { readonly as: "APIGroupDiscoveryList"; readonly version: "v2" | "v2beta1" };

/** One media range of an Accept header. */
export interface MediaRange {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** The media ranges of an Accept header in the order of the client's preference. */
export function readAccept(header: string | undefined): readonly MediaRange[] {
  const ranges = (header === undefined || header.trim() === "" ? "*/*" : header).split(",").map((range) => {
    const [type = "", ...rest] = range.split(";").map((part) => part.trim());
    const parameters = rest.map((parameter) => {
      const at = parameter.indexOf("=");
      return at < 0 ? [parameter.toLowerCase(), ""] : [parameter.slice(0, at).toLowerCase(), parameter.slice(at + 1)];
    });
    return { type: type.toLowerCase(), parameters: Object.fromEntries(parameters) };
  });
  const weight = ({ parameters }: MediaRange) => Number(parameters["q"] ?? 1);
  return ranges.filter((range) => weight(range) > 0).toSorted((left, right) => weight(right) - weight(left));
}

/**
 * The first form of the Accept header that can be answered.
 *
 * @throws ApiError 406 where none can.
 */
export function chooseRepresentation(accept: readonly MediaRange[]): Representation {
  for (const { type, parameters } of accept) {
    if (type !== "application/json" && type !== "*/*" && type !== "application/*") continue;
    const version = parameters["v"];
    switch (parameters["as"]) {
      case undefined:
        return { as: "object" };
      case "Table":
        if (version === "v1" || version === "v1beta1") return { as: "Table", version };
        break;
      case "PartialObjectMetadata":
      case "PartialObjectMetadataList":
        if (version === "v1" || version === "v1beta1") return { as: "PartialObjectMetadata", version };
        break;
      case "APIGroupDiscoveryList":
        if (version === "v2" || version === "v2beta1") return { as: "APIGroupDiscoveryList", version };
        break;
    }
  }
  throw notAcceptable();
}

/** Reads `includeObject`; rows carry metadata unless told otherwise. */
export function readIncludeObject(text: string | null): IncludeObject {
  return text === "None" || text === "Object" ? text : "Metadata";
}
