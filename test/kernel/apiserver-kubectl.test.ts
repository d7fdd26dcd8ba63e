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

    test("asks who its user is, and what they may", async (t) => {
      if (!needs(t, "kubectls")) return;
      const view = ["--kubeconfig", join(folder, "data/kubeconfig-view")];
      assert.equal(await ok(["auth", "can-i", "delete", "widgets.example.io"]), "yes\n");
      assert.equal(await ok([...view, "auth", "can-i", "list", "configmaps"]), "yes\n");
      const refused = await kubectl([...view, "auth", "can-i", "delete", "widgets.example.io"]);
      assert.match(refused.out, /^no/);
      assert.match(
        await ok([...view, "auth", "can-i", "--list"]),
        /^widgets\.example\.io +\[\] +\[\] +\[get list watch\]/m,
      );
      if (version === "1.32") assert.match(await ok([...view, "auth", "whoami"]), /^Username +system:view$/m);
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
      // Of what names no resourceVersion, kubectl asks for the newest one.
      const { name, namespace } = edited.metadata;
      const unversioned = JSON.stringify({ ...edited, metadata: { name, namespace }, spec: { size: "tall" } });
      await ok(["replace", "-f", "-"], unversioned);
      assert.equal(await ok(["get", "wd", "w1", "-o", "jsonpath={.spec}"]), '{"size":"tall"}');
      await ok(["replace", "--force", "-f", "-"], unversioned);
      const anew = JSON.parse(await ok(["get", "wd", "w1", "-o", "json"]));
      assert.deepEqual(anew.spec, { size: "tall" });
      assert.notEqual(anew.metadata.uid, edited.metadata.uid);
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

    const applied = (spec: string) =>
      `apiVersion: example.io/v1\nkind: Widget\nmetadata: {name: s1, namespace: default}\nspec: ${spec}\n`;
    // 1.20 itself refuses a configuration that is only a part of an object.
    const partly = version === "1.20" ? ["--validate=false"] : [];
    const applyAs = (manager: string, spec: string, ...more: string[]) =>
      kubectl(["apply", "--server-side", "--field-manager", manager, ...partly, "-f", "-", ...more], applied(spec));
    const specOf = async () => JSON.parse(await ok(["get", "wd", "s1", "-o", "jsonpath={.spec}"]));

    /** Who owns what, as the API tells it. */
    async function owners(): Promise<Record<string, unknown>> {
      const { metadata } = await sample.client.get(widgets, { namespace: "default", name: "s1" });
      return Object.fromEntries(
        (metadata.managedFields ?? []).map((entry) => {
          const { manager, operation, fieldsV1 } = entry as Record<string, unknown>;
          return [`${manager} ${operation}`, fieldsV1];
        }),
      );
    }

    test("applies on the server: owners, conflicts, force, dropped and shared fields", async (t) => {
      if (!needs(t, "kubectls")) return;
      const first = await applyAs("one", "{size: large, ports: [{name: a, port: 1}]}");
      assert.equal(first.out, "widget.example.io/s1 serverside-applied\n", first.err);
      const second = await applyAs("two", "{colour: red, ports: [{name: b, port: 2}, {name: a, note: mine}]}");
      assert.equal(second.code, 0, second.err);
      const ports = [
        { name: "b", port: 2 },
        { name: "a", port: 1, note: "mine" },
      ];
      assert.deepEqual(await specOf(), { size: "large", colour: "red", ports });
      assert.deepEqual(await owners(), {
        "one Apply": {
          "f:spec": { "f:size": {}, "f:ports": { 'k:{"name":"a"}': { ".": {}, "f:name": {}, "f:port": {} } } },
        },
        "two Apply": {
          "f:spec": {
            "f:colour": {},
            "f:ports": {
              'k:{"name":"a"}': { ".": {}, "f:name": {}, "f:note": {} },
              'k:{"name":"b"}': { ".": {}, "f:name": {}, "f:port": {} },
            },
          },
        },
      });
      const refused = await applyAs("two", "{size: small, colour: red, ports: [{name: a, port: 3}]}");
      assert.equal(refused.code, 1);
      assert.match(
        refused.err,
        /Apply failed with 2 conflicts: conflicts with "one":\n- \.spec\.ports\[name="a"\]\.port\n- \.spec\.size/,
      );
      assert.deepEqual((await specOf()).size, "large");
      const forced = await applyAs("two", "{size: small, colour: red}", "--force-conflicts");
      assert.equal(forced.code, 0, forced.err);
      assert.deepEqual(await specOf(), { size: "small", colour: "red", ports: [{ name: "a", port: 1 }] });
      assert.match(JSON.stringify((await owners())["one Apply"]), /^\{"f:spec":\{"f:ports":[^s]*\}$/);
      assert.equal((await applyAs("one", "{size: small}")).code, 0);
      assert.deepEqual(await specOf(), { size: "small", colour: "red" });
      assert.equal((await applyAs("two", "{colour: red}")).code, 0);
      assert.deepEqual(await specOf(), { size: "small", colour: "red" });
    });

    test("diffs and dry-runs a server-side apply, and changes nothing by it", async (t) => {
      if (!needs(t, "kubectls")) return;
      const { metadata: before } = await sample.client.get(widgets, { namespace: "default", name: "s1" });
      const args = ["diff", "--server-side", "--field-manager", "one", "-f", "-"];
      const diff = await kubectl(args, applied("{size: tiny}"));
      assert.match(diff.err + diff.out, /conflict with "two"|size: tiny/);
      const forced = await kubectl([...args, "--force-conflicts"], applied("{size: tiny}"));
      assert.equal(forced.code, 1, forced.err);
      assert.match(forced.out, /^- {2}size: small$/m);
      assert.match(forced.out, /^\+ {2}size: tiny$/m);
      const dry = await applyAs("one", "{size: tiny}", "--force-conflicts", "--dry-run=server");
      assert.match(dry.out, /s1 serverside-applied \(server dry run\)/);
      const fresh = applied("{size: tiny}").replace("s1", "s9");
      const made = await ok(["apply", "--server-side", "--dry-run=server", "-f", "-"], fresh);
      assert.match(made, /s9 serverside-applied/);
      assert.equal((await kubectl(["get", "wd", "s9"])).code, 1);
      const { metadata: after } = await sample.client.get(widgets, { namespace: "default", name: "s1" });
      assert.deepEqual(after, before);
    });

    test("shows managed fields when asked", async (t) => {
      if (!needs(t, "kubectls")) return;
      const flags = version === "1.20" ? [] : ["--show-managed-fields"];
      const shown = await ok(["get", "wd", "s1", "-o", "yaml", ...flags]);
      assert.match(shown, /managedFields:\n {2}- apiVersion: example\.io\/v1\n {4}fieldsType: FieldsV1\n/);
      if (version !== "1.20") assert.doesNotMatch(await ok(["get", "wd", "s1", "-o", "yaml"]), /managedFields/);
    });

    test("goes on with server-side apply where it applied as a client", async (t) => {
      if (!needs(t, "kubectls")) return;
      await ok(["delete", "wd", "s1"]);
      await apply(applied("{size: large, colour: red}"));
      assert.deepEqual(Object.keys(await owners()), ["kubectl-client-side-apply Update"]);
      const moved = await kubectl(["apply", "--server-side", "-f", "-"], applied("{size: small}"));
      assert.equal(moved.code, 0, moved.err);
      assert.equal((await specOf()).size, "small");
      if (version !== "1.20") {
        // It hands what it owned over to itself first, so that a field it no longer names goes.
        assert.deepEqual(await specOf(), { size: "small" });
        assert.equal(Object.hasOwn(await owners(), "kubectl Apply"), true);
      }
      await apply(applied("{size: medium}"));
      assert.equal((await specOf()).size, "medium");
      await ok(["delete", "wd", "s1"]);
    });

    test("warns of unknown fields that it applies on the server, or refuses them", async (t) => {
      if (!needs(t, "kubectls")) return;
      const odd = applied("{size: large, colur: red}");
      const args = ["apply", "--server-side", "-f", "-"];
      const strict = await kubectl(args, odd);
      assert.equal(strict.code, 1);
      assert.match(
        strict.err,
        version === "1.20" ? /unknown field "colur"/ : /unknown field "spec\.colur" \(did you mean "colour"\?\)/,
      );
      const lax = await kubectl([...args, version === "1.20" ? "--validate=false" : "--validate=warn"], odd);
      assert.equal(lax.code, 0, lax.err);
      assert.match(lax.err, /unknown field "spec\.colur" \(did you mean "colour"\?\)/);
      assert.deepEqual(await owners(), { "kubectl Apply": { "f:spec": { "f:size": {} } } });
      await ok(["delete", "wd", "s1"]);
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
      const waiting = ok(["wait", "--for=condition=Ready", "wd/awaited", "--timeout=100s"]);
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
