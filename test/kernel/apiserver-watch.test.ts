import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import type { WatchEvent } from "../../src/client/client.ts";
import { type Cache, inform } from "../../src/client/informer.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { isApiError } from "../../src/model/api/status.ts";
import {
  configMap,
  configMaps,
  makeFolder,
  type Sample,
  startSample,
  until,
  widget,
  widgets,
} from "./apiserver-sample.ts";

const { folder, remove } = makeFolder();
let sample: Sample;

before(async () => {
  sample = await startSample(folder);
});

after(async () => {
  await sample.stop();
  remove();
});

/** What the test reads of a Table of meta/v1. */
interface Table {
  readonly kind: string;
  readonly metadata: { readonly resourceVersion: string };
  /** Null but in the first event of a watch. */
  readonly columnDefinitions: readonly { readonly name: string }[] | null;
  readonly rows: readonly { readonly object: { readonly metadata: KubeObject["metadata"] } }[];
}

const at = (name: string) => ({ namespace: "default", name });

describe("a watch", () => {
  test("that breaks off anywhere and is resumed sees every change once, in order", async () => {
    const step = fc.record({ name: fc.constantFrom("a", "b", "c"), size: fc.constantFrom("s", "m", "l") });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 8 }),
        async (steps, cuts) => {
          const { resourceVersion: start } = await sample.client.list(widgets);
          const wanted: string[] = [];
          const writing = (async () => {
            for (const { name, size } of steps) wanted.push(await writeOne(name, size));
            wanted.push(await writeOne("end", "s"));
          })();
          const seen: string[] = [];
          let from = start;
          for (let round = 0; seen.at(-1)?.includes(" end ") !== true; round += 1) {
            let left = cuts[round % cuts.length] ?? 1;
            const stop = new AbortController();
            const watch = sample.client.watch(widgets, {
              resourceVersion: from,
              timeoutSeconds: 20,
              signal: stop.signal,
            });
            for await (const { type, object } of watch) {
              from = object.metadata.resourceVersion ?? from;
              if (type === "BOOKMARK") continue;
              seen.push(describeEvent(type, object));
              left -= 1;
              if (left === 0 || object.metadata.name === "end") break;
            }
            stop.abort();
          }
          await writing;
          assert.deepEqual(seen, wanted);
        },
      ),
      { numRuns: 25 },
    );
  });

  test("sees every change once, in order, or is told 410, with many writers, cuts in a line, and a history that goes", async () => {
    const own = makeFolder();
    const server = await startSample(own.folder, { keptChanges: 25 });
    const { client } = server;
    const headers = { authorization: `Bearer ${readFileSync(join(own.folder, "pki/token"), "utf8").trim()}` };
    const outcomes = { gone: 0, cutInLine: 0, resumed: 0 };
    const path = "/apis/example.io/v1/widgets";

    /** The events of one watch, until so many bytes have come or `isEnough`; what is left of a line is lost. */
    async function* broken(query: string, bytes: number): AsyncGenerator<{ type: string; object: KubeObject }> {
      const options = { ca: server.server.caPem, headers, agent: false };
      const call = request(`${server.server.url}${path}?watch=1${query}`, options).end();
      call.on("error", () => undefined);
      try {
        const [response]: IncomingMessage[] = await once(call, "response");
        if (response?.statusCode === 410) {
          yield { type: "ERROR", object: { ...widget("gone"), code: 410 } };
          return;
        }
        assert.equal(response?.statusCode, 200);
        let text = "";
        let left = bytes;
        for await (const chunk of response) {
          text += String(chunk).slice(0, left);
          left -= String(chunk).length;
          for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
            const line: unknown = JSON.parse(text.slice(0, end));
            text = text.slice(end + 1);
            yield line as { type: string; object: KubeObject };
          }
          if (left <= 0) break;
        }
        if (text !== "") outcomes.cutInLine += 1;
      } finally {
        call.destroy();
      }
    }

    /** Watches until the object `end` is there, over all cuts; fails where an event is lost, doubled or out of order. */
    async function follow(how: "list" | "initial" | "bare", cuts: readonly number[], written: Set<string>) {
      let view = new Map<string, string>();
      const seen = new Set<string>();
      let from: number | undefined;
      /** Behind it nothing may be missing. */
      let whole = Number.POSITIVE_INFINITY;
      const restart = async () => {
        view = new Map();
        from = undefined;
        if (how !== "list") return;
        const { items, resourceVersion } = await client.list(widgets);
        for (const { metadata } of items) view.set(metadata.name, metadata.resourceVersion ?? "");
        from = Number(resourceVersion);
      };
      await restart();
      for (let round = 0; !view.has("end"); round += 1) {
        const cut = cuts[round % cuts.length] ?? 1;
        const initial = from === undefined;
        if (from !== undefined) outcomes.resumed += 1;
        const start = how === "initial" ? "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan" : "";
        const query = `&allowWatchBookmarks=true${initial ? start : `&resourceVersion=${from}`}`;
        // What began without a version can be gone on with when its beginning is over only.
        let begins = initial;
        if (from !== undefined) whole = Math.min(whole, from);
        for await (const { type, object } of broken(query, cut)) {
          if (type === "ERROR") {
            assert.equal(object["code"], 410);
            from = -1;
            break;
          }
          const { name, resourceVersion = "", annotations } = object.metadata;
          const revision = Number(resourceVersion);
          if (type === "BOOKMARK") {
            if (annotations?.["k8s.io/initial-events-end"] === "true") begins = false;
            from = revision;
            continue;
          }
          if (begins && how === "initial") {
            assert.equal(type, "ADDED");
            view.set(name, resourceVersion);
            if (name === "end") break;
            continue;
          }
          if (how !== "bare") {
            assert.ok(from !== undefined && revision > from, `${type} ${name} ${revision} behind ${from}`);
            from = revision;
            if (type !== "DELETED") seen.add(`${name} ${resourceVersion}`);
          }
          // A change of an object can be told only of what was told to be there.
          assert.equal(view.has(name), type !== "ADDED", `${type} ${name}`);
          if (type === "DELETED") view.delete(name);
          else view.set(name, resourceVersion);
          if (name === "end") break;
        }
        const isGone = from === -1;
        if (isGone) outcomes.gone += 1;
        if (isGone || (begins && !view.has("end")) || how === "bare") {
          if (view.has("end")) break;
          whole = Number.POSITIVE_INFINITY;
          seen.clear();
          await restart();
        }
      }
      if (how === "bare") return;
      const end = Number(view.get("end"));
      const missing = [...written].filter((each) => {
        const revision = Number(each.split(" ")[1]);
        return revision > whole && revision <= end && !seen.has(each);
      });
      assert.deepEqual(missing, []);
    }

    const step = fc.record({
      name: fc.constantFrom("a", "b", "c", "d"),
      does: fc.constantFrom("put", "put", "delete"),
    });
    const lists = fc.array(fc.array(step, { minLength: 5, maxLength: 20 }), { minLength: 3, maxLength: 3 });
    const cutting = fc.array(fc.integer({ min: 1, max: 4_000 }), { minLength: 1, maxLength: 6 });
    const watching = fc.array(fc.tuple(fc.constantFrom("list", "initial", "bare"), cutting), {
      minLength: 3,
      maxLength: 3,
    });
    let size = 0;
    try {
      await fc.assert(
        fc.asyncProperty(lists, watching, async (writers, watchers) => {
          for (const { metadata } of (await client.list(widgets)).items)
            await client.delete(widgets, at(metadata.name));
          const written = new Set<string>();
          const note = ({ metadata }: KubeObject) => written.add(`${metadata.name} ${metadata.resourceVersion}`);
          const following = watchers.map(([how, cuts]) => follow(how, [...cuts, 20_001], written));
          const write = async (steps: (typeof writers)[number]) => {
            for (const { name, does } of steps) {
              size += 1;
              try {
                if (does === "delete") await client.delete(widgets, at(name));
                else note(await client.patch(widgets, at(name), "merge", { spec: { size: `${size}` } }));
              } catch (thrown) {
                if (!isApiError(thrown, "NotFound")) throw thrown;
                if (does === "put") await client.create(widgets, widget(name, `${size}`)).then(note, ignoreExisting);
              }
            }
          };
          await Promise.all(writers.map(write));
          note(await client.create(widgets, widget("end")));
          await Promise.all(following);
        }),
        { numRuns: 8, endOnFailure: true },
      );
      assert.ok(outcomes.cutInLine > 0 && outcomes.resumed > 0, JSON.stringify(outcomes));
    } finally {
      await server.stop();
      own.remove();
    }
  });

  function ignoreExisting(thrown: unknown): void {
    if (!isApiError(thrown, "AlreadyExists")) throw thrown;
  }

  function describeEvent(type: string, { metadata }: KubeObject): string {
    return `${type} ${metadata.name} ${metadata.resourceVersion}`;
  }

  /** Creates, changes or (when nothing would change) deletes; says which event that is. */
  async function writeOne(name: string, size: string): Promise<string> {
    const { items } = await sample.client.list(widgets, {
      namespace: "default",
      fieldSelector: `metadata.name=${name}`,
    });
    const [there] = items;
    if (there === undefined) return describeEvent("ADDED", await sample.client.create(widgets, widget(name, size)));
    const written = await sample.client.patch(widgets, at(name), "merge", { spec: { size } });
    if (written.metadata.resourceVersion !== there.metadata.resourceVersion) return describeEvent("MODIFIED", written);
    await sample.client.delete(widgets, at(name));
    // No other writer: the deletion is the newest change.
    const { resourceVersion } = await sample.client.list(widgets);
    return `DELETED ${name} ${resourceVersion}`;
  }

  test("of a selection tells of what enters and leaves it", async () => {
    const { resourceVersion } = await sample.client.list(configMaps);
    await sample.client.create(configMaps, configMap("mover"));
    for (const colour of ["red", "red", "blue", "red"]) {
      await sample.client.patch(configMaps, at("mover"), "merge", {
        metadata: { labels: { colour } },
        data: { n: `${Math.random()}` },
      });
    }
    await sample.client.delete(configMaps, at("mover"));
    const seen: string[] = [];
    const query = { resourceVersion, labelSelector: "colour=red", timeoutSeconds: 20 };
    for await (const { type, object } of sample.client.watch(configMaps, query)) {
      seen.push(type);
      assert.equal(object.metadata.labels?.["colour"], "red");
      if (seen.length === 5) break;
    }
    assert.deepEqual(seen, ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]);
  });

  test("without a resourceVersion begins with what is there, and marks the end of it when asked", async () => {
    await sample.client.create(configMaps, configMap("first"));
    const token = readFileSync(join(folder, "pki/token"), "utf8").trim();
    const path =
      "/api/v1/namespaces/default/configmaps?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1";
    const heard = async (accept: string): Promise<WatchEvent<KubeObject>[]> => {
      const headers = { authorization: `Bearer ${token}`, accept };
      const watch = request(`${sample.server.url}${path}`, { ca: sample.server.caPem, headers }).end();
      const [response]: IncomingMessage[] = await once(watch, "response");
      const chunks = await response?.toArray();
      const lines = Buffer.concat(chunks ?? [])
        .toString()
        .trim()
        .split("\n");
      return lines.map((line): WatchEvent<KubeObject> => JSON.parse(line));
    };
    const metadataAlone = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    const table = metadataAlone.replace("PartialObjectMetadata", "Table");
    const [whole, partial, rows] = await Promise.all([heard("application/json"), heard(metadataAlone), heard(table)]);
    const told = rows.map(({ type, object }) => {
      const { kind, metadata, columnDefinitions, rows: lines } = object as unknown as Table;
      assert.equal(lines.length, 1);
      const { name, resourceVersion, annotations } = lines[0]?.object.metadata ?? { name: "none" };
      assert.equal(metadata.resourceVersion, resourceVersion);
      return [type, kind, columnDefinitions?.[0]?.name, name, annotations];
    });
    assert.deepEqual(told, [
      ["ADDED", "Table", "Name", "first", undefined],
      ["BOOKMARK", "Table", undefined, undefined, { "k8s.io/initial-events-end": "true" }],
      ["BOOKMARK", "Table", undefined, undefined, undefined],
    ]);
    for (const [events, kind] of [
      [whole, "ConfigMap"],
      [partial, "PartialObjectMetadata"],
    ] as const) {
      assert.deepEqual(
        events.map(({ type, object }) => `${type} ${object.kind}`),
        [`ADDED ${kind}`, `BOOKMARK ${kind}`, `BOOKMARK ${kind}`],
      );
      assert.equal(events[1]?.object.metadata.annotations?.["k8s.io/initial-events-end"], "true");
    }
  });
});

describe("a watch's time", () => {
  for (const [what, timeoutSeconds] of [
    ["of 0 s is none of its own", 0],
    ["may be longer than a timer of Node's", 999_999_999],
  ] as const) {
    test(what, async () => {
      const { resourceVersion } = await sample.client.list(configMaps);
      const path = `/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=${resourceVersion}&timeoutSeconds=${timeoutSeconds}`;
      const headers = { authorization: `Bearer ${readFileSync(join(folder, "pki/token"), "utf8").trim()}` };
      const watch = request(`${sample.server.url}${path}`, { ca: sample.server.caPem, headers }).end();
      try {
        const [response]: IncomingMessage[] = await once(watch, "response");
        assert.ok(response !== undefined);
        // It would be over before the second of these.
        for (const round of [1, 2])
          await sample.client.create(configMaps, configMap(`timed-${timeoutSeconds}-${round}`));
        let heard = "";
        for await (const chunk of response) {
          heard += String(chunk);
          if (heard.split("\n").length > 2) break;
        }
        assert.equal(heard.split("\n").length, 3);
      } finally {
        watch.destroy();
      }
    });
  }
});

describe("an informer", () => {
  test("follows the server over its restart, and tells what changed meanwhile", async () => {
    const other = makeFolder();
    let server = await startSample(other.folder);
    const { port } = server.server;
    const heard: string[] = [];
    const stop = new AbortController();
    const tell = (what: string) => (object: KubeObject) => heard.push(`${what} ${object.metadata.name}`);
    const handlers = { add: tell("add"), update: tell("update"), delete: tell("delete") };
    const { client } = server;
    await client.create(configMaps, configMap("stays"));
    await client.create(configMaps, configMap("goes"));
    const cache: Cache<KubeObject> = inform(client, configMaps, { namespace: "default" }, handlers, stop.signal);
    await until("the first list", () => cache.synced);
    await client.patch(configMaps, at("stays"), "merge", { data: { a: "1" } });
    await until("the change", () => heard.includes("update stays"));
    await server.server.close();

    server = await startSample(other.folder, { port });
    await server.client.delete(configMaps, at("goes"));
    await server.client.create(configMaps, configMap("new"));
    await until(
      "the new object",
      () => cache.get("new", "default") !== undefined && cache.get("goes", "default") === undefined,
    );
    assert.deepEqual(heard.slice(0, 2).toSorted(), ["add goes", "add stays"]);
    assert.deepEqual(heard.slice(2).toSorted(), ["add new", "delete goes", "update stays"]);
    assert.deepEqual(
      cache
        .list()
        .map(({ metadata }) => metadata.name)
        .toSorted(),
      ["new", "stays"],
    );
    stop.abort();
    client.close();
    await server.stop();
    other.remove();
  });
});

describe("history", () => {
  test("that is gone is answered with 410", async () => {
    const other = makeFolder();
    const server = await startSample(other.folder);
    await server.client.create(configMaps, configMap("busy"));
    await server.client.create(configMaps, configMap("quiet"));
    const { resourceVersion } = await server.client.list(configMaps);
    const first = (await server.client.raw("/api/v1/configmaps?limit=1")) as { metadata: { continue: string } };
    for (let done = 0; done < 11_200; done += 200) {
      await Promise.all(
        Array.from({ length: 200 }, (_, index) => server.client.create(configMaps, configMap(`old-${done + index}`))),
      );
    }
    const outdated = async () => {
      for await (const event of server.client.watch(configMaps, { resourceVersion })) assert.fail(event.type);
    };
    const isGone = (thrown: unknown) => isApiError(thrown, "Expired") && thrown.httpStatus === 410;
    await assert.rejects(outdated(), isGone);
    // Of a list that began before, there is no consistent rest.
    await assert.rejects(server.client.raw(`/api/v1/configmaps?limit=1&continue=${first.metadata.continue}`), isGone);
    await server.stop();
    other.remove();
  });
});

describe("a selection that much has to be read for", () => {
  test("keeps nobody else waiting: of a watch, of its history and of a list", async () => {
    const own = makeFolder();
    const server = await startSample(own.folder);
    const headers = { authorization: `Bearer ${readFileSync(join(own.folder, "pki/token"), "utf8").trim()}` };
    // Each takes some milliseconds to be looked into.
    const parts = Array.from({ length: 49_000 }, () => "a");
    const { resourceVersion: start } = await server.client.list(widgets);
    for (let index = 0; index < 80; index += 1) {
      await server.client.create(widgets, { ...widget(`large-${index}`), spec: { size: "l", parts } });
    }
    await server.client.create(widgets, widget("z-chosen", "s", { labels: { colour: "red" } }));
    const path = "/apis/example.io/v1/widgets?labelSelector=colour%3Dred";
    const open = async (query: string) => {
      const call = request(`${server.server.url}${path}${query}`, { ca: server.server.caPem, headers, agent: false });
      const [response]: IncomingMessage[] = await once(call.end(), "response");
      assert.equal(response?.statusCode, 200);
      return { call, response };
    };
    try {
      for (const query of ["&watch=1", `&watch=1&resourceVersion=${start}`]) {
        const { call, response } = await open(query);
        let told = "";
        response?.on("data", (chunk) => {
          told += String(chunk);
        });
        await server.client.get(widgets, at("z-chosen"));
        assert.equal(told, "", "the other call was answered in between");
        await until("the chosen one", async () => told.includes('"z-chosen"'));
        call.destroy();
      }
      const other = () => server.client.get(widgets, at("z-chosen"));
      // Two connections, so that neither call waits for one.
      await Promise.all([other(), other()]);
      const order: string[] = [];
      const list = server.client.list(widgets, { labelSelector: "colour=red" });
      await Promise.all([list.then(() => order.push("list")), other().then(() => order.push("other"))]);
      assert.deepEqual(order, ["other", "list"]);
    } finally {
      await server.stop();
      own.remove();
    }
  });
});

describe("a client that never reads its watch", () => {
  test("makes the server keep a bounded part of it", async () => {
    const token = readFileSync(join(folder, "pki/token"), "utf8").trim();
    const { resourceVersion } = await sample.client.list(configMaps);
    const path = `/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=${resourceVersion}`;
    const stalled = request(`${sample.server.url}${path}`, {
      ca: sample.server.caPem,
      headers: { authorization: `Bearer ${token}` },
    });
    await new Promise<void>((resolve) => {
      stalled.on("response", (response) => {
        response.pause();
        resolve();
      });
      stalled.end();
    });
    const bulk = "x".repeat(500_000);
    await sample.client.create(configMaps, configMap("bulk"));
    const before = await held();
    const writes = 120;
    for (let index = 0; index < writes; index += 1) {
      await sample.client.patch(configMaps, at("bulk"), "merge", { data: { bulk, index: `${index}` } });
    }
    // Unbounded it would hold all of them: 60 MB. What is garbage may take several collections to go.
    await until("the memory of the answers to be free", async () => (await held()) - before < 25_000_000);
    stalled.destroy();
  });

  test("makes it keep no more where the watch begins with thousands of objects", async () => {
    const other = makeFolder();
    const server = await startSample(other.folder);
    const data = { bulk: "x".repeat(5_000) };
    for (let done = 0; done < 2_000; done += 200) {
      await Promise.all(
        Array.from({ length: 200 }, (_, index) =>
          server.client.create(configMaps, configMap(`many-${done + index}`, data)),
        ),
      );
    }
    const headers = { authorization: `Bearer ${readFileSync(join(other.folder, "pki/token"), "utf8").trim()}` };
    const before = await held();
    const watches: ReturnType<typeof request>[] = [];
    const starts = ["", "&resourceVersion=0", "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"];
    const count = 40;
    try {
      for (let index = 0; index < count; index += 1) {
        const path = `/api/v1/configmaps?watch=1${starts[index % starts.length]}`;
        const watch = request(`${server.server.url}${path}`, { ca: server.server.caPem, headers, agent: false }).end();
        watches.push(watch);
        const [response]: IncomingMessage[] = await once(watch, "response");
        assert.equal(response?.statusCode, 200);
        response?.pause();
      }
      // Each would hold most of 10 MB. The bound has room for both ends of the connections, whose buffers count twice.
      await until("the lists to be free", async () => (await held()) - before < count * 2_000_000);
    } finally {
      for (const watch of watches) watch.destroy();
      await server.stop();
      other.remove();
    }
  });

  test("may go on with it after objects changed, and has what was there and then what changed", async () => {
    const other = makeFolder();
    const server = await startSample(other.folder);
    const bulk = "x".repeat(50_000);
    const names = Array.from({ length: 200 }, (_, index) => `many-${1_000 + index}`);
    await Promise.all(names.map((name) => server.client.create(configMaps, configMap(name, { bulk }))));
    const { resourceVersion: start } = await server.client.list(configMaps);
    const headers = { authorization: `Bearer ${readFileSync(join(other.folder, "pki/token"), "utf8").trim()}` };
    const path = "/api/v1/configmaps?watch=1";
    const watch = request(`${server.server.url}${path}`, { ca: server.server.caPem, headers, agent: false }).end();
    try {
      const [response]: IncomingMessage[] = await once(watch, "response");
      assert.ok(response !== undefined);
      const last = at("many-1199");
      await server.client.patch(configMaps, last, "merge", { data: { colour: "red" } });
      await server.client.delete(configMaps, at("many-1198"));
      await server.client.create(configMaps, configMap("many-1198a"));
      await server.client.create(configMaps, configMap("a-first"));
      await server.client.delete(configMaps, at("many-1000"));
      await server.client.patch(configMaps, last, "merge", { data: { colour: "blue" } });
      let text = "";
      let lines = 0;
      for await (const chunk of response) {
        text += String(chunk);
        lines += String(chunk).split("\n").length - 1;
        if (lines >= names.length + 6) break;
      }
      const seen = text
        .trim()
        .split("\n")
        .map((line): WatchEvent<KubeObject> => JSON.parse(line));
      const told = seen.map(({ type, object }) => `${type} ${object.metadata.name}`);
      assert.deepEqual(told, [
        ...names.map((name) => `ADDED ${name}`),
        "MODIFIED many-1199",
        "DELETED many-1198",
        "ADDED many-1198a",
        "ADDED a-first",
        "DELETED many-1000",
        "MODIFIED many-1199",
      ]);
      const revisions = seen.map(({ object }) => Number(object.metadata.resourceVersion));
      assert.ok(revisions.slice(0, names.length).every((revision) => revision <= Number(start)));
      assert.deepEqual(
        revisions.slice(names.length),
        [1, 2, 3, 4, 5, 6].map((step) => Number(start) + step),
      );
    } finally {
      watch.destroy();
      await server.stop();
      other.remove();
    }
  });

  /** Bytes that are held after a collection. */
  async function held(): Promise<number> {
    setFlagsFromString("--expose-gc");
    const collect: unknown = runInNewContext("gc");
    assert.ok(typeof collect === "function");
    collect();
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    const { external, arrayBuffers, heapUsed } = process.memoryUsage();
    return external + arrayBuffers + heapUsed;
  }
});
