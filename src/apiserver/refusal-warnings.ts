import { type ApiError, isApiError } from "../model/api/status.ts";

const warnings = new WeakMap<ApiError, readonly string[]>();

/** What the client is to be warned of beside a refusal. */
export function warningsOf(error: ApiError): readonly string[] {
  return warnings.get(error) ?? [];
}

/** The refusal, with warnings that were found before it. */
export function withWarnings(error: ApiError, found: readonly string[]): ApiError {
  if (found.length > 0) warnings.set(error, [...found, ...warningsOf(error)]);
  return error;
}

/** Does what comes after `found` was found: a refusal of it carries these warnings, too. */
export async function carrying<T>(found: readonly string[], work: () => Promise<T>): Promise<T> {
  if (found.length === 0) return work();
  try {
    return await work();
  } catch (thrown) {
    throw isApiError(thrown) ? withWarnings(thrown, found) : thrown;
  }
}
