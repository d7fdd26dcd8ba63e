import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync, statSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import type { Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { type KubeClient, makeKubeClient, type ResourceRef } from "../../src/client/client.ts";
import { loadKubeconfig } from "../../src/client/kubeconfig.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { ApiError } from "../../src/model/api/status.ts";
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

const secrets: ResourceRef = { group: "", version: "v1", plural: "secrets", namespaced: true };
const { folder, remove } = makeFolder();
let sample: Sample;
let viewer: KubeClient;
let limited: { readonly sample: Sample; remove(): void };
/** Its clients have little time; those that are to be served go elsewhere. */
let hasty: { readonly sample: Sample; remove(): void };

before(async () => {
  sample = await startSample(folder, {
    subresources: [
      {
        group: "sub.example.io",
        versions: ["v1"],
        plural: "widgets",
        subresource: "console",
        verb: "get",
        protocols: [],
        open: () => Promise.reject(new Error("nobody may come here")),
      },
      {
        group: "sub.example.io",
        versions: ["v1"],
        plural: "widgets",
        subresource: "start",
        verb: "update",
        answers: 202,
        act: () => Promise.resolve(),
      },
    ],
  });
  viewer = makeKubeClient(loadKubeconfig(join(folder, "kubeconfig-view")));
  const own = makeFolder();
  limited = {
    sample: await startSample(own.folder, {
      limits: {
        connectionsPerToken: 4,
        watchesPerToken: 2,
        requestsPerToken: 2,
        unsentPerToken: 4_000_000,
      },
    }),
    remove: own.remove,
  };
  const third = makeFolder();
  hasty = {
    sample: await startSample(third.folder, { limits: { headerMs: 300, requestMs: 600 } }),
    remove: third.remove,
  };
});

after(async () => {
  viewer.close();
  await sample.stop();
  await limited.sample.stop();
  await hasty.sample.stop();
  remove();
  limited.remove();
  hasty.remove();
});

function tokenOf(of: Sample, role: "admin" | "view"): string {
  return readFileSync(join(of.folder, "pki", role === "admin" ? "token" : "token-view"), "utf8").trim();
}

interface Answer {
  readonly code: number;
  readonly text: string;
  readonly headers: IncomingMessage["headers"];
}

async function ask(
  of: Sample,
  path: string,
  options: { role?: "admin" | "view"; method?: string; body?: string; agent?: Agent } = {},
): Promise<Answer> {
  const { role = "admin", method = "GET", body, agent } = options;
  const call = request(`${of.server.url}/`, {
    // As it stands: an URL would be brought into normal form first.
    path,
    method,
    ca: of.server.caPem,
    headers: { authorization: `Bearer ${tokenOf(of, role)}` },
    ...(agent === undefined ? {} : { agent }),
  });
  call.end(body);
  const [response]: IncomingMessage[] = await once(call, "response");
  assert.ok(response);
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return { code: response.statusCode ?? 0, text, headers: response.headers };
}

const says = (pattern: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof ApiError);
  assert.equal(thrown.httpStatus, 403);
  assert.match(thrown.message, pattern);
  return true;
};

describe("the view token", () => {
  test("has a kubeconfig of its own, which only the owner reads", () => {
    for (const file of ["kubeconfig", "kubeconfig-view", "pki/token-view"]) {
      assert.equal(statSync(join(folder, file)).mode & 0o777, 0o600, file);
    }
    assert.notEqual(tokenOf(sample, "view"), tokenOf(sample, "admin"));
  });

  test("reads, lists and watches", async () => {
    const made = await sample.client.create(widgets, widget("seen"));
    assert.deepEqual(await viewer.get(widgets, { namespace: "default", name: "seen" }), made);
    const { items, resourceVersion } = await viewer.list(widgets);
    assert.equal(items.length, 1);
    await sample.client.patch(widgets, made.metadata, "merge", { spec: { size: "small" } });
    for await (const { type, object } of viewer.watch(widgets, { resourceVersion, timeoutSeconds: 20 })) {
      assert.deepEqual([type, object.metadata.name], ["MODIFIED", "seen"]);
      break;
    }
    for (const path of ["/version", "/api", "/openapi/v2", "/readyz", "/metrics"]) {
      assert.equal((await ask(sample, path, { role: "view" })).code, 200, path);
    }
    assert.equal(
      (await ask(sample, "/apis/example.io/v1/namespaces/default/widgets/seen/status", { role: "view" })).code,
      200,
    );
  });

  test("reads no Secret by any way", async () => {
    await sample.client.create(secrets, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "hidden", namespace: "default" },
      data: { key: "aGlkZGVu" },
    });
    await assert.rejects(
      viewer.get(secrets, { namespace: "default", name: "hidden" }),
      says(
        /^secrets "hidden" is forbidden: User "system:view" cannot get resource "secrets" in API group "" in the namespace "default"$/,
      ),
    );
    await assert.rejects(
      viewer.list(secrets),
      says(
        /^secrets is forbidden: User "system:view" cannot list resource "secrets" in API group "" at the cluster scope$/,
      ),
    );
    for (const path of [
      "/api/v1/secrets?watch=true",
      "/api/v1//secrets",
      "/api/v1/./secrets",
      "/api/v1/configmaps/../secrets",
      "/api/v1/configmaps/%2e%2e/secrets",
      "/api/v1/configmaps\\..\\secrets",
      "/api/v1/secrets#/configmaps",
      "/api/v1/%73ecrets",
      "/api/v1/namespaces/default/secrets/hidden?watch=true",
      "/api/v1/namespaces/default/%73%65crets/hidden",
      "/api/v1/namespaces/status/../default/secrets/hidden",
    ]) {
      const { code, text } = await ask(sample, path, { role: "view" });
      assert.ok(code === 403 || code === 400, `${path}: ${code}`);
      assert.ok(!text.includes("aGlkZGVu"), path);
    }
  });

  test("is told who it is and what it may, as the other role is, and nothing of it is on record", async () => {
    const review = async (role: "admin" | "view", path: string, spec?: object) => {
      const body = JSON.stringify(spec === undefined ? {} : { spec });
      const { code, text } = await ask(sample, `/apis/${path}`, { role, method: "POST", body });
      assert.equal(code, 201, text);
      return JSON.parse(text).status;
    };
    const whoami = "authentication.k8s.io/v1/selfsubjectreviews";
    assert.deepEqual(await review("view", whoami), {
      userInfo: { username: "system:view", groups: ["system:authenticated"] },
    });
    const { userInfo } = await review("admin", whoami);
    assert.deepEqual(userInfo, { username: "system:admin", groups: ["system:masters", "system:authenticated"] });
    const access = "authorization.k8s.io/v1/selfsubjectaccessreviews";
    const may = async (role: "admin" | "view", verb: string, resource: string, group = "", subresource = "") =>
      (await review(role, access, { resourceAttributes: { verb, group, resource, subresource } })).allowed;
    assert.equal(await may("view", "list", "widgets", "example.io"), true);
    assert.equal(await may("view", "get", "widgets", "example.io", "status"), true);
    assert.equal(await may("view", "list", "*", "example.io"), true);
    for (const [verb, resource, group] of [
      ["delete", "widgets", "example.io"],
      ["get", "secrets", ""],
      ["get", "secrets", "*"],
      ["get", "*", "*"],
      ["*", "*", "*"],
      ["*", "widgets", "example.io"],
    ] as const) {
      assert.equal(await may("view", verb, resource, group), false, `${verb} ${resource} ${group}`);
      assert.equal(await may("admin", verb, resource, group), true);
    }
    assert.equal(await may("view", "get", "widgets", "sub.example.io", "console"), false);
    const path = { nonResourceAttributes: { verb: "get", path: "/metrics" } };
    assert.equal((await review("view", access, path)).allowed, true);
    assert.equal((await ask(sample, `/apis/${access}`, { role: "view", method: "POST", body: "{}" })).code, 400);
    assert.equal((await ask(sample, `/apis/${access}`, { role: "view" })).code, 405);
    const { resourceRules } = await review("view", "authorization.k8s.io/v1/selfsubjectrulesreviews", {});
    assert.doesNotMatch(JSON.stringify(resourceRules), /secrets|"\*"/);
    assert.match(
      JSON.stringify(resourceRules),
      /"apiGroups":\["example.io"\],"resources":\["widgets","widgets\/status"\]/,
    );
    assert.doesNotMatch(readFileSync(join(folder, "logs/audit.log"), "utf8"), /selfsubject/);
  });

  test("changes nothing, not on trial either, and opens no console", async () => {
    const at = { namespace: "default", name: "seen" };
    await assert.rejects(
      viewer.create(widgets, widget("new")),
      says(/cannot create resource "widgets" in API group "example\.io"/),
    );
    await assert.rejects(viewer.create(widgets, widget("new"), { dryRun: true }), says(/cannot create/));
    await assert.rejects(viewer.patch(widgets, at, "merge", { spec: { size: "x" } }), says(/cannot patch/));
    await assert.rejects(
      viewer.delete(widgets, at),
      says(/^widgets\.example\.io "seen" is forbidden: .* cannot delete/),
    );
    await assert.rejects(
      viewer.updateStatus(widgets, widget("seen")),
      says(/cannot update resource "widgets\/status"/),
    );
    const below = "/apis/sub.example.io/v1/namespaces/default/widgets/seen";
    for (const [method, path] of [
      ["PUT", `${below}/start`],
      ["GET", `${below}/console`],
      ["DELETE", "/apis/example.io/v1/namespaces/default/widgets"],
      ["OPTIONS", "/api"],
      ["POST", "/version"],
    ] as const) {
      assert.equal((await ask(sample, path, { role: "view", method, body: "{}" })).code, 403, `${method} ${path}`);
    }
    const call = request(`${sample.server.url}${below}/console`, {
      ca: sample.server.caPem,
      headers: {
        authorization: `Bearer ${tokenOf(sample, "view")}`,
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": Buffer.alloc(16).toString("base64"),
      },
    });
    call.end();
    const [response]: IncomingMessage[] = await once(call, "response");
    assert.equal(response?.statusCode, 403);
    response?.resume();
    assert.equal((await sample.client.get(widgets, at))["spec"] !== undefined, true);
  });
});

describe("the audit log", () => {
  const lines = (): Record<string, unknown>[] => {
    const file = join(folder, "logs", "audit.log");
    return existsSync(file)
      ? readFileSync(file, "utf8")
          .split("\n")
          .filter((line) => line !== "")
          .map((line): Record<string, unknown> => JSON.parse(line))
      : [];
  };

  test("has each write, done or refused, with who, what and how it ended; and nothing of its content", async () => {
    const content = "c29tZXRoaW5nIHNlY3JldA==";
    const secret: KubeObject = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { generateName: "made-", namespace: "default", name: "" },
      data: { password: content },
    };
    const made = await sample.client.create(secrets, secret);
    await sample.client.create(configMaps, configMap("tried"), { dryRun: true });
    await assert.rejects(
      sample.client.create(secrets, { ...made, metadata: { name: made.metadata.name, namespace: "default" } }),
    );
    await assert.rejects(viewer.delete(secrets, made.metadata));
    await sample.client.get(secrets, made.metadata);
    await sample.client.delete(secrets, made.metadata, { dryRun: true });
    await sample.client.delete(secrets, made.metadata);
    const tried = JSON.stringify({ dryRun: ["All"] });
    await ask(sample, "/apis/sub.example.io/v1/namespaces/default/widgets/seen/start", { method: "PUT", body: tried });
    await ask(sample, "/apis/sub.example.io/v1/namespaces/default/widgets/seen/start", { method: "PUT", body: "{}" });
    const { name } = made.metadata;
    const about = (line: Record<string, unknown>) =>
      line["name"] === name || line["name"] === "tried" || String(line["resource"]).endsWith("/start");
    await until("the last line", () =>
      lines().some(
        ({ resource, code, dryRun }) => resource === "widgets.sub.example.io/start" && code === 202 && dryRun === false,
      ),
    );
    const told = lines()
      .filter(about)
      .map(({ user, verb, resource, uid, code, dryRun }) =>
        [user, verb, resource, code, ...(dryRun === true ? ["dry run"] : [uid ?? "-"])].join(" "),
      );
    const { uid } = made.metadata;
    const wanted = [
      "system:admin create configmaps 201 dry run",
      `system:admin create secrets 201 ${uid}`,
      `system:admin delete secrets 200 ${uid}`,
      "system:admin delete secrets 200 dry run",
      "system:admin update widgets.sub.example.io/start 202 -",
      "system:admin update widgets.sub.example.io/start 202 dry run",
      "system:view delete secrets 403 -",
      "system:view update widgets.sub.example.io/start 403 -",
    ];
    assert.deepEqual(told.toSorted(), wanted.toSorted());
    assert.ok(lines().some(({ verb, resource, code }) => verb === "create" && resource === "secrets" && code === 409));
    for (const { time, requestId, verb } of lines()) {
      assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.match(String(requestId), /^[0-9a-f-]{36}$/);
      // A console is opened by get, and is a way to write.
      assert.ok(!["list", "watch"].includes(String(verb)));
    }
    assert.ok(!readFileSync(join(folder, "logs", "audit.log"), "utf8").includes(content));
    assert.equal(statSync(join(folder, "logs", "audit.log")).mode & 0o777, 0o600);
  });

  test("knows a request by the id that its client was given", async () => {
    const { headers } = await ask(sample, "/apis/example.io/v1/namespaces/default/widgets/nobody", {
      method: "DELETE",
    });
    await until("its line", () =>
      lines().some(({ requestId, code }) => requestId === headers["audit-id"] && code === 404),
    );
  });
});

describe("health", () => {
  test("is told as a whole, by check and in full", async () => {
    assert.equal((await ask(sample, "/readyz")).text, "ok");
    const { text } = await ask(sample, "/readyz?verbose");
    assert.equal(text, "[+]ping ok\n[+]store-writable ok\n[+]certificate ok\nreadyz check passed\n");
    assert.equal((await ask(sample, "/livez?verbose")).text, "[+]ping ok\nlivez check passed\n");
    assert.equal((await ask(sample, "/readyz/store-writable")).text, "ok");
    assert.equal((await ask(sample, "/readyz/nothing")).code, 404);
    assert.equal((await ask(sample, "/readyz", { method: "POST" })).code, 405);
  });
});

describe("too much", () => {
  test("of watches gets 429 and Retry-After, and room when one ends", async () => {
    const of = limited.sample;
    const path = "/api/v1/configmaps?watch=true&timeoutSeconds=60";
    const open = async () => {
      const call = request(`${of.server.url}${path}`, {
        ca: of.server.caPem,
        agent: false,
        headers: { authorization: `Bearer ${tokenOf(of, "view")}` },
      });
      call.on("error", () => undefined);
      call.end();
      const [response]: IncomingMessage[] = await once(call, "response");
      response?.resume();
      return { code: response?.statusCode, retry: response?.headers["retry-after"], end: () => call.destroy() };
    };
    const [first, second, third] = [await open(), await open(), await open()];
    assert.deepEqual([first.code, second.code, third.code, third.retry], [200, 200, 429, "1"]);
    first.end();
    await until("room for another watch", async () => {
      const another = await open();
      another.end();
      return another.code === 200;
    });
    second.end();
  });

  test("of connections gets 429; other tokens and the daemon's own have theirs", async () => {
    const of = limited.sample;
    const agents = Array.from({ length: 5 }, () => new Agent({ keepAlive: true }));
    const codes: number[] = [];
    for (const agent of agents) codes.push((await ask(of, "/version", { agent })).code);
    assert.deepEqual(codes, [200, 200, 200, 200, 429]);
    assert.equal((await ask(of, "/version", { role: "view" })).code, 200);
    const { url, caPem, ownToken } = of.server;
    const own = Array.from({ length: 6 }, () =>
      makeKubeClient({ server: url, caPem, token: ownToken, namespace: "default" }),
    );
    for (const client of own) await client.raw("/version");
    for (const client of own) client.close();
    for (const agent of agents) agent.destroy();
    await until("room", async () => (await ask(of, "/version")).code === 200);
  });

  test("of requests that are not done gets 429", async () => {
    const of = limited.sample;
    const begin = () => {
      const call = request(`${of.server.url}/api/v1/namespaces/default/configmaps`, {
        method: "POST",
        ca: of.server.caPem,
        agent: false,
        headers: {
          authorization: `Bearer ${tokenOf(of, "admin")}`,
          "content-type": "application/json",
          "content-length": "100",
        },
      });
      call.on("error", () => undefined);
      call.flushHeaders();
      return call;
    };
    const calls = [begin(), begin()];
    await until("both to count", async () => (await ask(of, "/version")).code === 429);
    for (const call of calls) call.destroy();
    await until("room", async () => (await ask(of, "/version")).code === 200);
  });
});

describe("a client that does not read its lists", () => {
  test("gets no more of them than are worth so many bytes, and others do", async () => {
    const of = limited.sample;
    const { url, caPem, ownToken, port } = of.server;
    const own = makeKubeClient({ server: url, caPem, token: ownToken, namespace: "default" });
    // More than the kernel's buffers of a connection take.
    const bulk = "x".repeat(900_000);
    for (let index = 0; index < 24; index += 1) await own.create(configMaps, configMap(`bulk-${index}`, { bulk }));
    const socket = connect({ host: "127.0.0.1", port, ca: caPem });
    socket.on("error", () => undefined);
    await once(socket, "secureConnect");
    socket.pause();
    const list = "/api/v1/configmaps";
    socket.write(`GET ${list} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tokenOf(of, "view")}\r\n\r\n`);
    await until("the refusal", async () => {
      const { code, text, headers } = await ask(of, list, { role: "view" });
      if (code !== 429) return false;
      assert.match(text, /this token has too many answers that it has not read/);
      assert.equal(headers["retry-after"], "1");
      return true;
    });
    assert.equal(
      (await ask(of, `${list}/bulk-0`.replace("/configmaps", "/namespaces/default/configmaps"), { role: "view" })).code,
      200,
    );
    assert.equal((await ask(of, list)).code, 200);
    assert.equal((await own.list(configMaps)).items.length, 24);
    socket.destroy();
    await until("room", async () => (await ask(of, list, { role: "view" })).code === 200);
    own.close();
  });
});

describe("a slow client", () => {
  /** Settles with what came when the server closes the connection. */
  async function answerTo(text: string): Promise<string> {
    const { port, caPem } = hasty.sample.server;
    const socket: TLSSocket = connect({ host: "127.0.0.1", port, ca: caPem });
    let told = "";
    socket.on("data", (chunk) => {
      told += String(chunk);
    });
    // Before its handshake is done, even, where this machine is slow.
    const over = closed(socket);
    if (text !== "") socket.write(text);
    await over;
    return told;
  }
  /** Not `once`, which an error ends. */
  function closed(socket: Socket): Promise<void> {
    socket.on("error", () => undefined);
    return new Promise((resolve) => socket.once("close", () => resolve()));
  }
  const authorization = () => `authorization: Bearer ${tokenOf(hasty.sample, "admin")}\r\n`;

  test("that begins no request is cut off", async () => {
    await answerTo("");
  });

  test("that does not finish its headers is told so and cut off", async () => {
    assert.match(await answerTo(`GET /version HTTP/1.1\r\nhost: x\r\n${authorization()}`), /^HTTP\/1\.1 408 |^$/);
  });

  test("that does not finish its body is told so and cut off", async () => {
    const head = `POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: x\r\n${authorization()}content-length: 50\r\n\r\n{`;
    assert.match(await answerTo(head), /^HTTP\/1\.1 408 |^$/);
  });

  test("that shakes no hands is cut off", async () => {
    const { connect: plain } = await import("node:net");
    const socket = plain({ host: "127.0.0.1", port: hasty.sample.server.port });
    socket.resume();
    await closed(socket);
  });
});

describe("another address", () => {
  test("is listened on, proved and named", async () => {
    const own = makeFolder();
    const other = await startSample(own.folder, { address: "127.0.0.9" });
    try {
      assert.match(other.server.url, /^https:\/\/127\.0\.0\.9:\d+$/);
      assert.equal(loadKubeconfig(join(own.folder, "kubeconfig-view")).server, other.server.url);
      assert.equal(await other.client.raw("/readyz"), "ok");
    } finally {
      await other.stop();
    }
    const every = await startSample(own.folder, { address: "0.0.0.0" });
    try {
      assert.match(every.server.url, /^https:\/\/127\.0\.0\.1:/);
      assert.equal(await every.client.raw("/readyz"), "ok");
      // The machine's own addresses are proved as well; each of the loopback network answers.
      const held = readFileSync(join(own.folder, "pki", "server.crt"), "utf8");
      for (const found of Object.values(networkInterfaces()).flat()) {
        if (found === undefined || found.address.startsWith("fe80:")) continue;
        assert.ok(new X509Certificate(held).checkIP(found.address), found.address);
      }
    } finally {
      await every.stop();
      own.remove();
    }
  });

  test("that the machine has not is refused by name", async () => {
    const own = makeFolder();
    await assert.rejects(startSample(own.folder, { address: "192.0.2.1" }), (thrown) => {
      assert.ok(thrown instanceof Error);
      assert.match(thrown.message, /192\.0\.2\.1 port 0: this machine has no such address/);
      return true;
    });
    own.remove();
  });
});

test("what a call expects is judged behind the door", async () => {
  const { port, caPem } = sample.server;
  const answers = async (expects: string, role?: "admin" | "view"): Promise<readonly string[]> => {
    const socket = connect({ host: "127.0.0.1", port, ca: caPem });
    await once(socket, "secureConnect");
    let text = "";
    socket.on("data", (chunk) => {
      text += String(chunk);
    });
    const token = role === undefined ? "" : `authorization: Bearer ${tokenOf(sample, role)}\r\n`;
    const path = "/api/v1/namespaces/default/configmaps";
    socket.write(
      `POST ${path} HTTP/1.1\r\nhost: x\r\n${token}expect: ${expects}\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}`,
    );
    await once(socket, "close");
    return [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, code]) => code ?? "");
  };
  assert.deepEqual(await answers("100-continue"), ["401"]);
  assert.deepEqual(await answers("100-continue", "view"), ["403"]);
  assert.deepEqual(await answers("100-continue", "admin"), ["100", "422"]);
  assert.deepEqual(await answers("tea"), ["401"]);
  assert.deepEqual(await answers("tea", "admin"), ["422"]);
});

test("a call without a token is refused on the address and path whatever it is", async () => {
  for (const path of ["/metrics", "/livez", "/healthz", "/../x"]) {
    const call = request(`${sample.server.url}/`, { path, ca: sample.server.caPem });
    call.end();
    const [response]: IncomingMessage[] = await once(call, "response");
    response?.resume();
    assert.equal(response?.statusCode, 401, path);
  }
});
