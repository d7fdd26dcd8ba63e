/** RFC 3339 in whole seconds and UTC, as the API's timestamps are; of milliseconds since 1970. */
export function timestampOf(milliseconds: number): string {
  const second = Math.floor(milliseconds / 1_000);
  if (second !== last.second) last = { second, text: `${new Date(milliseconds).toISOString().slice(0, 19)}Z` };
  return last.text;
}

/** The one that was asked for last: most are of the same second as the one before. */
let last = { second: Number.NaN, text: "" };
