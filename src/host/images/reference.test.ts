import assert from "node:assert/strict";
import { test } from "node:test";
import { isFault } from "../../model/fault.ts";
import { keptName, parseReference, registryOf, taggedName } from "./reference.ts";

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

test("names are understood as users write them", () => {
  const cases = {
    "patchbay/guest": "patchbay/guest:latest",
    "docker.io/patchbay/guest:latest": "patchbay/guest:latest",
    "docker.io/library/debian:12": "debian:12",
    "library/debian": "debian:latest",
    "index.docker.io/kubevirt/cirros-container-disk-demo:v1.1.0": "kubevirt/cirros-container-disk-demo:v1.1.0",
    "quay.io/kubevirt/fedora": "quay.io/kubevirt/fedora:latest",
    "localhost:5000/a/b:c": "localhost:5000/a/b:c",
    "localhost/a": "localhost/a:latest",
    [`registry:5000/x@${DIGEST}`]: "registry:5000/x:latest",
  };
  for (const [text, name] of Object.entries(cases)) assert.equal(taggedName(parseReference(text)), name);
});

test("a digest is kept beside the tag", () => {
  assert.deepEqual(parseReference(`a/b:v1@${DIGEST}`), { repository: "a/b", tag: "v1", digest: DIGEST });
  assert.deepEqual(parseReference(`a/b@${DIGEST}`), { repository: "a/b", digest: DIGEST });
});

test("an image is kept under its digest where one is given, and comes from the registry in its name", () => {
  const cases = {
    debian: ["debian:latest", "docker.io"],
    "docker.io/kubevirt/x:v1": ["kubevirt/x:v1", "docker.io"],
    "quay.io/kubevirt/x": ["quay.io/kubevirt/x:latest", "quay.io"],
    "localhost/x:1": ["localhost/x:1", "localhost"],
    "[::1]:5000/x:1": ["[::1]:5000/x:1", "[::1]:5000"],
    [`registry:5000/a/x:v1@${DIGEST}`]: [`registry:5000/a/x@${DIGEST}`, "registry:5000"],
  };
  for (const [text, expected] of Object.entries(cases)) {
    const reference = parseReference(text);
    assert.deepEqual([keptName(reference), registryOf(reference)], expected);
  }
});

test("what is no name is refused with PB5003", () => {
  const wrong = ["", "A/b", "a//b", "/a", "a/b:", "a:b:c", "a b", "../a", "a/..", "a@sha256:12", "a:-x", "docker.io/"];
  for (const text of wrong) {
    assert.throws(
      () => parseReference(text),
      (thrown) => isFault(thrown, "PB5003"),
      text,
    );
  }
});
