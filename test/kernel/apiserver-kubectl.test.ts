import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { kubectlBinary, kubectlVersions } from "../kubectls.ts";
import { needs } from "../needs.ts";
import {
  configMaps,
  events,
  makeFolder,
  type Sample,
  startSample,
  until,
  widget,
  widgets,
} from "./apiserver-sample.ts";

interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const manifest = `
apiVersion: example.io/v1
kind: Widget
metadata: {name: w1, labels: {app: web}}
spec: {size: large, colour: red}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c1}
data: {a: "1"}
---
apiVersion: v1
kind: Pod
metadata: {name: p1}
spec:
  containers:
  - {name: one, image: "one:1"}
  - {name: two, image: "two:1"}
`;

for (const version of kubectlVersions) {
  describe(`kubectl ${version}`, () => {
    const { folder, remove } = makeFolder();
    const children = new Set<ChildProcess>();
    let sample: Sample;

    before(async () => {
      mkdirSync(join(folder, "home"));
      sample = await startSample(join(folder, "data"));
    });

    after(async () => {
      for (const child of children) child.kill();
      await sample.stop();
      remove();
    });

    const environment = () => ({
      PATH: process.env["PATH"],
      HOME: join(folder, "home"),
      KUBECONFIG: sample.kubeconfig,
      EDITOR: join(folder, "editor"),
    });

    /** Runs it to its end; the server lives in this process, so the call must not block. */
    async function kubectl(args: readonly string[], input = ""): Promise<Run> {
      const child = spawn(await kubectlBinary(version), args, { env: environment(), stdio: ["pipe", "pipe", "pipe"] });
      children.add(child);
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
      child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
      child.stdin.on("error", () => undefined);
      child.stdin.end(input);
      return new Promise<Run>((resolve, reject) => {
        child.on("error", reject);
        child.on("close", (code) => {
          children.delete(child);
          resolve({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() });
        });
      });
    }

    /** The output of a run that must succeed. */
    async function ok(args: readonly string[], input?: string): Promise<string> {
      const { code, out, err } = await kubectl(args, input);
      assert.equal(code, 0, `kubectl ${args.join(" ")}: ${err}`);
      return out;
    }

    const apply = (text: string, ...more: string[]) => ok(["apply", "-f", "-", ...more], text);

    test("knows the server and its resources", async (t) => {
      if (!needs(t, "kubectls")) return;
      const shown = await ok(["version", "-o", "json"]);
      assert.equal(/"gitVersion": "v(\d+\.\d+)/.exec(shown)?.[1], version);
      assert.match(await ok(["version"]), /Server Version: .*v1\.32\.0\+patchbay/);
      assert.equal(await ok(["get", "--raw", "/readyz"]), "ok");
      assert.match(await ok(["api-resources"]), /widgets +wd +example\.io\/v1 +true +Widget/);
      assert.equal(await ok(["api-versions"]), "example.io/v1\nv1\n");
      assert.match(await ok(["get", "ns"]), /^NAME +STATUS +AGE\ndefault +Active +\d+s\nkube-system +Active/);
    });

    test("applies, and applies changes of every kind of patch", async (t) => {
      if (!needs(t, "kubectls")) return;
      assert.equal(await apply(manifest), "widget.example.io/w1 created\nconfigmap/c1 created\npod/p1 created\n");
      assert.match(await apply(manifest), /widget.example.io\/w1 unchanged\nconfigmap\/c1 (?:unchanged|configured)\n/);
      const changed = manifest
        .replace("colour: red", "colour: blue")
        .replace('{a: "1"}', '{b: "1"}')
        .replace("two:1", "two:2");
      assert.equal(
        await apply(changed),
        "widget.example.io/w1 configured\nconfigmap/c1 configured\npod/p1 configured\n",
      );
      assert.equal(await ok(["get", "wd", "w1", "-o", "jsonpath={.spec.colour}"]), "blue");
      assert.equal(await ok(["get", "cm", "c1", "-o", "jsonpath={.data}"]), '{"b":"1"}');
      const images = await ok(["get", "po", "p1", "-o", "jsonpath={.spec.containers[*].image}"]);
      assert.equal(images, "one:1 two:2");
    });

    test("shows objects in every form", async (t) => {
      if (!needs(t, "kubectls")) return;
      assert.match(await ok(["get", "wd"]), /^NAME +SIZE +AGE\nw1 +large +\d+s\n$/);
      assert.match(await ok(["get", "wd", "-o", "wide"]), /^NAME +SIZE +COLOUR +AGE\nw1 +large +blue +\d+s\n$/);
      assert.match(await ok(["get", "wd,cm", "-A"]), /default +widget\.example\.io\/w1 .*\n\nNAMESPACE +NAME +AGE\n/);
      assert.match(await ok(["get", "wd", "w1", "-o", "yaml"]), /^apiVersion: example\.io\/v1\nkind: Widget\n/);
      const list: unknown = JSON.parse(await ok(["get", "wd", "-l", "app=web", "-o", "json"]));
      assert.match(JSON.stringify(list), /"kind":"List".*|"items":\[\{"apiVersion":"example\.io\/v1"/);
      assert.equal(await ok(["get", "wd", "-l", "app!=web", "-o", "name"]), "");
      assert.equal(
        await ok(["get", "wd", "--field-selector", "spec.size=large", "-o", "name"]),
        "widget.example.io/w1\n",
      );
      assert.match(await ok(["get", "all"]), /^w1 +large/m);
      const missing = await kubectl(["get", "wd", "nothing"]);
      assert.deepEqual(
        [missing.code, missing.err],
        [1, 'Error from server (NotFound): widgets.example.io "nothing" not found\n'],
      );
    });

    test("describes with events", async (t) => {
      if (!needs(t, "kubectls")) return;
      const { metadata } = await sample.client.get(widgets, { namespace: "default", name: "w1" });
      const now = new Date().toISOString().replace(/\.\d+Z/, "Z");
      await sample.client.create(events, {
        apiVersion: "v1",
        kind: "Event",
        metadata: { name: "w1.1", namespace: "default" },
        involvedObject: {
          kind: "Widget",
          apiVersion: "example.io/v1",
          name: "w1",
          namespace: "default",
          uid: metadata.uid,
        },
        reason: "Squeaked",
        message: "it needs oil",
        type: "Warning",
        count: 1,
        firstTimestamp: now,
        lastTimestamp: now,
        source: { component: "test" },
      });
      assert.match(
        await ok(["describe", "wd", "w1"]),
        /Name: +w1\n[\s\S]*Colour: +blue[\s\S]*Warning +Squeaked .*it needs oil/,
      );
      assert.match(await ok(["get", "events", "--field-selector", "type=Warning", "-o", "name"]), /event\/w1\.1/);
      assert.match(await ok(["describe", "ns", "default"]), /Status: +Active/);
    });

    test("patches, labels, annotates, edits and replaces", async (t) => {
      if (!needs(t, "kubectls")) return;
      await ok(["patch", "wd", "w1", "--type=merge", "-p", '{"spec":{"size":"small"}}']);
      await ok(["patch", "wd", "w1", "--type=json", "-p", '[{"op":"add","path":"/spec/parts","value":["a"]}]']);
      await ok(["patch", "po", "p1", "-p", '{"spec":{"containers":[{"name":"one","image":"one:3"}]}}']);
      assert.equal(await ok(["get", "po", "p1", "-o", "jsonpath={.spec.containers[*].image}"]), "one:3 two:2");
      await ok(["label", "wd", "w1", "tier=front"]);
      await ok(["label", "wd", "w1", "tier-"]);
      await ok(["annotate", "wd", "w1", "note=hello"]);
      writeFileSync(join(folder, "editor"), '#!/bin/sh\nsed -i s/small/medium/ "$1"\n', { mode: 0o755 });
      await ok(["edit", "wd", "w1"]);
      const edited = JSON.parse(await ok(["get", "wd", "w1", "-o", "json"]));
      assert.deepEqual(edited.spec, { size: "medium", colour: "blue", parts: ["a"] });
      assert.equal(edited.metadata.annotations.note, "hello");
      edited.spec.size = "huge";
      await ok(["replace", "-f", "-"], JSON.stringify(edited));
      const stale = await kubectl(["replace", "-f", "-"], JSON.stringify(edited));
      assert.match(stale.err, /\(Conflict\).*the object has been modified/);
    });

    test("diffs and dry-runs without changing anything", async (t) => {
      if (!needs(t, "kubectls")) return;
      const changed = manifest.replace("large", "tiny");
      const { code, out } = await kubectl(["diff", "-f", "-"], changed);
      assert.equal(code, 1);
      assert.match(out, /^\+ {2}size: tiny$/m);
      assert.match(await apply(changed, "--dry-run=server"), /w1 configured \(server dry run\)/);
      const fresh = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c9}\n";
      assert.equal(await ok(["create", "-f", "-", "--dry-run=server", "-o", "name"], fresh), "configmap/c9\n");
      assert.equal((await kubectl(["get", "cm", "c9"])).code, 1);
    });

    test("creates by its own commands", async (t) => {
      if (!needs(t, "kubectls")) return;
      await ok(["create", "ns", "mine"]);
      await ok(["create", "cm", "own", "-n", "mine", "--from-literal=a=b"]);
      await ok(["create", "secret", "generic", "own", "-n", "mine", "--from-literal=user=root"]);
      assert.equal(await ok(["get", "cm", "own", "-n", "mine", "-o", "jsonpath={.data.a}"]), "b");
      assert.equal(await ok(["get", "secret", "own", "-n", "mine", "-o", "jsonpath={.data.user}"]), "cm9vdA==");
      await ok(["delete", "ns", "mine"]);
      assert.equal((await kubectl(["get", "ns", "mine"])).code, 1);
    });

    test("reports unknown fields with their path", async (t) => {
      if (!needs(t, "kubectls")) return;
      const odd = manifest.split("---")[0]?.replace("w1", "w2").replace("colour", "colur") ?? "";
      const { code, err } = await kubectl(["apply", "-f", "-"], odd);
      assert.equal(code, 1);
      if (version === "1.20") {
        // It asks OpenAPI itself; told not to, it hears of the field from the server, as a warning.
        assert.match(err, /ValidationError\(Widget\.spec\): unknown field "colur"/);
        const taken = await kubectl(["apply", "-f", "-", "--validate=false"], odd);
        assert.match(taken.err, /Warning: unknown field "spec\.colur" \(did you mean "colour"\?\)/);
      } else {
        assert.match(err, /unknown field "spec\.colur" \(did you mean "colour"\?\)/);
      }
      await kubectl(["delete", "wd", "w2"]);
    });

    test("waits for conditions and for deletion, and watches", async (t) => {
      if (!needs(t, "kubectls")) return;
      await sample.client.create(widgets, widget("awaited"));
      const at = { namespace: "default", name: "awaited" };
      const watched: Buffer[] = [];
      const watch = spawn(await kubectlBinary(version), ["get", "wd", "awaited", "-w"], { env: environment() });
      children.add(watch);
      watch.stdout.on("data", (chunk: Buffer) => watched.push(chunk));
      const lines = () => Buffer.concat(watched).toString().trim().split("\n");
      await until("the watch's first line", () => lines().length >= 2);
      const waiting = ok(["wait", "--for=condition=Ready", "wd/awaited", "--timeout=20s"]);
      const ready = { status: { conditions: [{ type: "Ready", status: "True" }] } };
      await sample.client.patchStatus(widgets, at, "merge", ready);
      assert.equal(await waiting, "widget.example.io/awaited condition met\n");
      const last = { metadata: { finalizers: ["example.io/a"] }, spec: { size: "last" } };
      await sample.client.patch(widgets, at, "merge", last);
      await until("the watch's next line", () => lines().some((line) => /^awaited +last/.test(line)));
      const leaving = ok(["delete", "wd", "awaited"]);
      await until("the deletion", async () => {
        const { metadata } = await sample.client.get(widgets, at);
        return metadata.deletionTimestamp !== undefined;
      });
      await sample.client.patch(widgets, at, "merge", { metadata: { finalizers: null } });
      assert.match(await leaving, /"awaited" deleted/);
      watch.kill();
    });

    test("deletes with each cascade", async (t) => {
      if (!needs(t, "kubectls")) return;
      for (const cascade of ["background", "foreground", "orphan"]) {
        const name = `by-${cascade}`;
        const made = await sample.client.create(widgets, widget(name));
        const owner = { apiVersion: "example.io/v1", kind: "Widget", name, uid: made.metadata.uid };
        const metadata = {
          name: `${name}-child`,
          namespace: "default",
          ownerReferences: [{ ...owner, uid: owner.uid ?? "" }],
        };
        await sample.client.create(configMaps, { apiVersion: "v1", kind: "ConfigMap", metadata });
        await ok(["delete", "wd", name, `--cascade=${cascade}`]);
        const isThere = async () => (await kubectl(["get", "cm", `${name}-child`])).code === 0;
        if (cascade === "orphan") assert.equal(await isThere(), true);
        else await until("the child's end", async () => !(await isThere()));
      }
      assert.match(await ok(["delete", "-f", "-"], manifest), /widget\.example\.io "w1" deleted/);
      await ok(["delete", "cm", "--all"]);
      assert.equal(await ok(["get", "wd,cm,po", "-o", "name"]), "");
    });
  });
}
