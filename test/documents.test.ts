// The examples in the four pages about KubeVirt's networking, and a manifest of our own for each of them. The pages are
// read where they lie beside the repository; without them the manifests stand for them.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isSound, judgeManifests } from "../src/cli/judged-manifests.ts";
import { planAll } from "../src/cli/plan.ts";
import { pageBlocks, yamlBlocks } from "./documents/pages.ts";

const root = join(import.meta.dirname, "..");
const examples = join(root, "examples/documents");
const everythingPermitted = join(root, "examples/all-bindings.yaml");

interface Expectation {
  /** Statements of docs/documents.md that it shows. */
  readonly shows?: string;
  /** Examples of the pages that it stands for: page and number, both from 0. */
  readonly of: readonly string[];
  /** `line code` of every finding in our manifest, where everything is permitted; theirs has the same codes. */
  readonly findings: readonly string[];
  /** Code that refuses it where nothing is configured. */
  readonly forbidden?: string;
  /** NICs as `binding link`, `hashed` for a link that has the hash of its network's name; nothing for what is no guest. */
  readonly plan: readonly string[];
}

/** A fragment of a VMI below one line of comment. */
const fragment = ["2 PB1011", "4 PB1016"];
const none: readonly string[] = [];

const expectations: Readonly<Record<string, Expectation>> = {
  "bridge-definition": { shows: "S3.5", of: ["3.1"], findings: ["13 PB2713"], plan: none },
  "bridge-ipam-definition": { shows: "S3.10", of: ["3.3"], findings: [], plan: none },
  "bridge-mac-e1000": { shows: "S0.7 S1.8", of: ["0.0", "1.0"], findings: fragment, plan: ["bridge eth0"] },
  "bridge-multus": { of: ["2.9", "3.8"], findings: [...fragment, "12 PB2701"], plan: ["bridge hashed"] },
  "bridge-pod": { of: ["0.3", "1.2"], findings: fragment, plan: ["bridge eth0"] },
  "bridge-ports-e1000": { shows: "S1.14", of: ["0.1", "1.1"], findings: fragment, plan: ["bridge eth0"] },
  "forbid-bridge-configmap": { shows: "S2.44", of: ["2.10"], findings: [], plan: none },
  "forbid-bridge-kubevirt": { shows: "S3.41", of: ["3.9"], findings: ["3 PB1012"], plan: none },
  genie: {
    shows: "S2.19 S2.23",
    of: ["2.5"],
    findings: [...fragment, "14 PB2705"],
    plan: ["bridge eth0", "bridge eth1"],
  },
  "mac-spoof-check-definition": { shows: "S3.102", of: ["3.22"], findings: ["13 PB2713"], plan: none },
  "macvlan-ipam-definition": { shows: "S2.17", of: ["2.3"], findings: ["7 PB1015"], plan: none },
  "macvtap-all-devices": { shows: "S3.96", of: ["3.19"], findings: [], plan: none },
  "macvtap-definition": { shows: "S3.97", of: ["3.20"], findings: [], plan: none },
  "macvtap-devices": { shows: "S3.95", of: ["3.18"], findings: [], plan: none },
  "macvtap-vmi": {
    shows: "S3.98",
    of: ["3.21"],
    findings: ["32 PB2701"],
    forbidden: "PB2023",
    plan: ["macvtap hashed"],
  },
  masquerade: { shows: "S2.5 S3.4", of: ["2.0", "3.0"], findings: fragment, plan: ["masquerade eth0"] },
  "masquerade-dual-stack-manual": {
    shows: "S3.54",
    of: ["3.12"],
    findings: ["3 PB1011", "5 PB1016", "9 PB1013", "20 PB1014"],
    plan: ["masquerade eth0"],
  },
  "masquerade-ipv6-manual": {
    shows: "S2.53",
    of: ["2.13"],
    findings: ["4 PB1011", "6 PB1016", "10 PB1013", "21 PB1014"],
    plan: ["masquerade eth0"],
  },
  "masquerade-port-e1000": { of: ["2.6", "3.5"], findings: fragment, plan: ["masquerade eth0"] },
  "masquerade-ports": { shows: "S2.48", of: ["2.12", "3.11"], findings: fragment, plan: ["masquerade eth0"] },
  multiqueue: { shows: "S2.56 S3.73", of: ["2.14", "3.14"], findings: fragment, plan: ["bridge eth0"] },
  "multus-default": {
    shows: "S2.17 S3.10",
    of: ["2.4", "3.4"],
    findings: [...fragment, "13 PB2701"],
    plan: ["bridge eth0"],
  },
  "networks-only": {
    shows: "S3.103",
    of: ["3.23"],
    findings: ["2 PB1011", "2 PB1016", "3 PB1011", "5 PB1011", "7 PB2701"],
    plan: ["masquerade eth0", "bridge hashed"],
  },
  "no-network": { shows: "S0.16 S2.39 S3.25", of: ["0.2", "2.8", "3.7"], findings: fragment, plan: none },
  "ovs-vlan-definition": { shows: "S2.7", of: ["2.1"], findings: ["7 PB1015"], plan: none },
  passt: { shows: "S3.67", of: ["3.13"], findings: fragment, forbidden: "PB2025", plan: ["passt eth0"] },
  "ptp-tuning-definition": { shows: "S2.31 S3.19", of: ["2.7", "3.6"], findings: [], plan: none },
  "pxe-dhcp-options": {
    shows: "S3.7 S3.8",
    of: ["3.2"],
    findings: [...fragment, "21 PB2701"],
    plan: ["masquerade eth0", "bridge hashed"],
  },
  "pxe-fields-on-interface": {
    shows: "S2.10 S2.11",
    of: ["2.2"],
    findings: [...fragment, "9 PB1013", "10 PB1013", "20 PB2701"],
    plan: ["masquerade eth0", "bridge hashed"],
  },
  slirp: { of: ["0.4", "1.3", "2.11", "3.10"], findings: fragment, forbidden: "PB2019", plan: ["slirp eth0"] },
  sriov: { shows: "S2.66", of: ["2.15"], findings: [...fragment, "12 PB2701"], plan: ["sriov hashed"] },
  "sriov-operator-network": { shows: "S3.85", of: ["3.16"], findings: [], plan: none },
  "sriov-operator-policy": { shows: "S2.67 S3.83 S3.84", of: ["3.15"], findings: [], plan: none },
  "sriov-vmi": { shows: "S3.86", of: ["3.17"], findings: ["43 PB2701"], plan: ["masquerade eth0", "sriov hashed"] },
};

/** What must stand in the line that a finding names. */
const place: Readonly<Record<string, RegExp>> = {
  PB1011: /^kind: VM$|^networks:$|^ *- /,
  PB1012: /^kind: Kubevirt$/,
  PB1013: /^ +(?:bus|bootFileName|tftpServerName): /,
  PB1014: /^ *- cloudInitNoCloud:/,
  PB1015: /^ {2}config: /,
  PB1016: /^ {2}domain:$|^networks:$/,
  PB2701: /networkName: /,
  PB2705: /networkName: /,
  PB2713: /"disableContainerInterface"/,
};

/** Judges and plans one file; answers the codes of its findings, in order. */
function check(file: string, { findings, forbidden, plan }: Expectation): readonly string[] {
  const judged = judgeManifests([file], everythingPermitted);
  assert.equal(isSound(judged), true, `${file} is refused`);
  const lines = readFileSync(file, "utf8").split("\n");
  for (const { code, line } of judged.findings) assert.match(lines[line - 1] ?? "", place[code] ?? /(?!)/, code);
  const unconfigured = judgeManifests([file], undefined).findings.filter(({ severity }) => severity === "error");
  assert.deepEqual(
    unconfigured.map(({ code }) => code),
    forbidden === undefined ? [] : [forbidden],
  );
  const { results: plans, refusals } = planAll(judged);
  assert.deepEqual(refusals, []);
  assert.deepEqual(
    plans.flatMap(({ nics }) =>
      nics.map(({ binding, podInterface }) => `${binding} ${podInterface.replace(/^pod[0-9a-f]{11}$/, "hashed")}`),
    ),
    plan,
  );
  assert.equal(judged.findings.length, findings.length);
  return judged.findings.map(({ line, code }) => `${line} ${code}`);
}

const codesOf = (findings: readonly string[]): string[] => findings.map((finding) => finding.split(" ")[1] ?? "");

test("there is a manifest of our own for each kind of example, and no other", () => {
  assert.deepEqual(
    readdirSync(examples).sort(),
    Object.keys(expectations)
      .map((name) => `${name}.yaml`)
      .sort(),
  );
});

test("our manifests validate with the warnings that are meant, and are planned or refused with a code", async (t) => {
  for (const [name, expectation] of Object.entries(expectations)) {
    const ids = expectation.shows;
    await t.test(ids === undefined ? name : `${ids}: ${name}`, () => {
      assert.deepEqual(check(join(examples, `${name}.yaml`), expectation), expectation.findings);
    });
  }
});

test("the examples of the pages themselves do as our manifests do", async (t) => {
  const blocks = pageBlocks();
  if (blocks === undefined) {
    t.diagnostic("the pages are not here");
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "patchbay-documents-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const known = Object.values(expectations).flatMap(({ of }) => of);
  assert.deepEqual([...blocks.keys()].sort(), known.toSorted());
  for (const expectation of Object.values(expectations)) {
    for (const block of expectation.of) {
      await t.test(block, () => {
        const file = join(folder, `${block}.yaml`);
        writeFileSync(file, blocks.get(block) ?? "");
        assert.deepEqual(codesOf(check(file, expectation)), codesOf(expectation.findings));
      });
    }
  }
});

test("an example is found fenced, indented, quoted and bare", () => {
  const page =
    "text\n```yaml\nkind: A\nb:\n- c\n```\n\n    apiVersion: d\n    e: {}\n\n>     kind: F\n>     g: 1\n>\n---\nkind: H\nend of it\n------\n";
  assert.deepEqual(yamlBlocks(page), [
    "kind: A\nb:\n- c\n",
    "apiVersion: d\ne: {}\n",
    "kind: F\ng: 1\n",
    "---\nkind: H\n",
  ]);
});
