/** RFC 3339 in whole seconds and UTC, as the API's timestamps are; of milliseconds since 1970. */
export function timestampOf(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}
