/**
 * The three functions of the metadata proposal that `@peculiar/x509` needs on `Reflect` when it is loaded
 * (https://www.typescriptlang.org/docs/handbook/decorators.html#metadata): metadata of classes, kept beside them.
 */
const byTarget = new WeakMap<object, Map<unknown, unknown>>();

function getOwnMetadata(key: unknown, target: object): unknown {
  return byTarget.get(target)?.get(key);
}

function getMetadata(key: unknown, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at)) {
    const metadata = byTarget.get(at);
    if (metadata?.has(key) === true) return metadata.get(key);
  }
  return undefined;
}

function defineMetadata(key: unknown, value: unknown, target: object): void {
  const metadata = byTarget.get(target) ?? new Map<unknown, unknown>();
  byTarget.set(target, metadata.set(key, value));
}

/** Adds them where nothing else has. To be called before the library is loaded. */
export function provideReflectMetadata(): void {
  if ("getMetadata" in Reflect) return;
  Object.assign(Reflect, { getOwnMetadata, getMetadata, defineMetadata });
}
