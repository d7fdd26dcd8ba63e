import type { Volume } from "../api/volumes.ts";
import type { Problem, RuleCode } from "./problem.ts";
import { problemAt, type Subject } from "./subject.ts";

/** Bytes of user data or network data that a manifest may hold. */
const LONGEST_DATA = 2048;

type CloudInit = NonNullable<Volume["cloudInitNoCloud"]>;

/** Data for cloud-init: one source of each kind, of a size that fits, and at least one. */
export function judgeCloudInit(subject: Subject): Problem[] {
  return (subject.spec.volumes ?? []).flatMap((volume, index) => {
    const kind = volume.cloudInitNoCloud !== undefined ? "cloudInitNoCloud" : "cloudInitConfigDrive";
    const data = volume[kind];
    return data === undefined ? [] : judgeData(subject, ["volumes", index, kind], volume.name, data);
  });
}

interface Kind {
  readonly words: string;
  readonly plain: "userData" | "networkData";
  readonly base64: "userDataBase64" | "networkDataBase64";
  readonly secret: "secretRef" | "networkDataSecretRef";
  readonly several: RuleCode;
  readonly long: RuleCode;
  readonly malformed: RuleCode;
}

const KINDS: readonly Kind[] = [
  {
    words: "user data",
    plain: "userData",
    base64: "userDataBase64",
    secret: "secretRef",
    several: "PB2416",
    long: "PB2417",
    malformed: "PB2418",
  },
  {
    words: "network data",
    plain: "networkData",
    base64: "networkDataBase64",
    secret: "networkDataSecretRef",
    several: "PB2097",
    long: "PB2098",
    malformed: "PB2099",
  },
];

function judgeData(subject: Subject, at: (string | number)[], name: string, data: CloudInit): Problem[] {
  const problems: Problem[] = [];
  const refuse = (code: RuleCode, keys: (string | number)[], message: string, cure: string): void => {
    problems.push(problemAt(subject, [...at, ...keys], { code, type: "FieldValueInvalid", message, cure }));
  };
  let sources = 0;
  for (const kind of KINDS) {
    const plain = data[kind.plain] ?? "";
    const base64 = data[kind.base64] ?? "";
    const secret = data[kind.secret]?.name ?? "";
    const used = [plain, base64, secret].filter((value) => value !== "").length;
    sources += used;
    if (used > 1) {
      const cure = `Keep one of ${kind.plain}, ${kind.base64} and ${kind.secret}.`;
      refuse(kind.several, [], `The volume "${name}" has ${kind.words} from several sources.`, cure);
    }
    const decoded = decodedBase64(base64);
    if (!decoded.whole) {
      refuse(
        kind.malformed,
        [kind.base64],
        `${kind.base64} of the volume "${name}" is not base64.`,
        "Encode it with base64.",
      );
    }
    const length = plain === "" ? decoded.bytes : utf8Length(plain);
    if (length > LONGEST_DATA) {
      const message = `The ${kind.words} of the volume "${name}" are ${length} bytes long.`;
      refuse(
        kind.long,
        [],
        message,
        `Keep to ${LONGEST_DATA} bytes, or put them into a Secret and name it in ${kind.secret}.`,
      );
    }
  }
  if (sources === 0) {
    refuse(
      "PB2100",
      [],
      `The volume "${name}" has neither user data nor network data.`,
      "Add userData or networkData.",
    );
  }
  return problems;
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length;
}

/**
 * Bytes that standard base64 with padding stands for (RFC 4648 section 4, line breaks ignored), up to the first group of
 * four that is none, as Go's decoder has them; `whole` where all of it is base64.
 */
export function decodedBase64(text: string): { readonly bytes: number; readonly whole: boolean } {
  const letters = text.replace(/[\r\n]/g, "");
  const [groups = ""] = /^(?:[A-Za-z0-9+/]{4})*/.exec(letters) ?? [];
  const [last = ""] = /^(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)/.exec(letters.slice(groups.length)) ?? [];
  const bytes = (groups.length / 4) * 3 + (last === "" ? 0 : last.replaceAll("=", "").length - 1);
  return { bytes, whole: groups.length + last.length === letters.length };
}
