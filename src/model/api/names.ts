const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** A DNS-1123 label: at most 63 small letters, digits and dashes, none at an end. */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && LABEL.test(text);
}

/** A DNS-1123 subdomain as Kubernetes has it: labels with dots between, 253 characters in all. */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && text.split(".").every((label) => LABEL.test(label));
}

const LABEL_NAME = "[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";
const LABEL_KEY = new RegExp(`^(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?${LABEL_NAME}$`);
const LABEL_VALUE = new RegExp(`^(?:${LABEL_NAME})?$`);
/** A prefix of 253 characters, a slash and a name of 63. */
const LONGEST_LABEL_KEY = 317;

/** A label's key: a DNS name and a slash before it where it has a prefix. */
export function isLabelKey(key: string): boolean {
  return LABEL_KEY.test(key) && key.length <= LONGEST_LABEL_KEY;
}

/** A label's value, which may be empty. */
export function isLabelValue(value: string): boolean {
  return LABEL_VALUE.test(value);
}
