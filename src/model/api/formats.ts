import { parseCidr } from "../addresses/cidr.ts";
import { parseIp4, parseIp6 } from "../addresses/ip.ts";
import { parseHardwareAddress } from "../addresses/mac.ts";

const DATE = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$/;
const TIME = /^[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;
const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const HOST = /^(?=.{1,253}$)[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)*\.?$/i;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const DURATION = /^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+)$/;

const formats: Readonly<Record<string, (text: string) => boolean>> = {
  date: (text) => DATE.test(text),
  // RFC 3339; Kubernetes' timestamps and micro times are of this form.
  "date-time": (text) => DATE.test(text.slice(0, 10)) && TIME.test(text.slice(10)),
  datetime: (text) => DATE.test(text.slice(0, 10)) && TIME.test(text.slice(10)),
  duration: (text) => DURATION.test(text),
  ipv4: (text) => parseIp4(text) !== undefined,
  ipv6: (text) => parseIp6(text) !== undefined,
  cidr: (text) => parseCidr(text) !== undefined,
  mac: (text) => parseHardwareAddress(text) !== undefined,
  uuid: (text) => UUID.test(text),
  hostname: (text) => HOST.test(text),
  byte: (text) => BASE64.test(text),
};

/** False where a text is not of a format that Kubernetes checks in schemas; formats that are not known take any text. */
export function isOfFormat(format: string, text: string): boolean {
  const check = Object.hasOwn(formats, format) ? formats[format] : undefined;
  return check === undefined || check(text);
}
