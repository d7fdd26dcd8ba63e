import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type AgentMessage, agentDecoder, encodeAgentCommand, encodeAgentSync } from "./guest-agent-codec.ts";

function decode(...chunks: readonly (string | readonly number[])[]): AgentMessage[] {
  const decoder = agentDecoder(1000);
  return chunks.flatMap((chunk) =>
    decoder.push(typeof chunk === "string" ? Buffer.from(chunk) : Uint8Array.from(chunk)),
  );
}

test("returns, errors, and an answer behind its delimiter", () => {
  assert.deepEqual(decode('{"return": {}}\n\n{"ret', 'urn": [1]}\r\n'), [
    { kind: "return", value: {}, delimited: false },
    { kind: "return", value: [1], delimited: false },
  ]);
  assert.deepEqual(decode('{"error": {"class": "CommandNotFound", "desc": "The\\ncommand x"}}\n'), [
    { kind: "error", class: "CommandNotFound", text: "The command x", delimited: false },
  ]);
  assert.deepEqual(decode('half a li{"return"', [0xff], '{"return": 7}\n{"return": 8}\n'), [
    { kind: "return", value: 7, delimited: true },
    { kind: "return", value: 8, delimited: false },
  ]);
  assert.deepEqual(decode([0xff], "\n", '{"return": 7}\n'), [{ kind: "return", value: 7, delimited: true }]);
});

test("what is too long, or not JSON, is foreign, and the next line is read", () => {
  const next = '\n{"return": 1}\n';
  for (const waste of ["x".repeat(5000), "{", "[]", "null", '{"return"}', '{"error": 5}', "[".repeat(900), "\u0000"]) {
    assert.deepEqual(
      decode(waste, next).map(({ kind }) => kind),
      ["foreign", "return"],
      waste.slice(0, 20),
    );
  }
});

test("a guest's bytes never throw, and messages do not depend on how they are cut", () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.json().map((json) => Buffer.from(`${json}\n`)),
    fc.jsonValue().map((value) => Buffer.from(`${JSON.stringify({ return: value })}\n`)),
    fc.jsonValue().map((value) => Buffer.from(`${JSON.stringify({ error: value })}\n`)),
    fc.constantFrom(Uint8Array.of(0xff), Uint8Array.of(0xff, 0xff, 10), Uint8Array.of(10, 13)),
  );
  fc.assert(
    fc.property(fc.array(piece), fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (pieces, cuts) => {
      const stream = Buffer.concat(pieces);
      const whole = agentDecoder(100).push(stream);
      const decoder = agentDecoder(100);
      const cut: AgentMessage[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn += 1) {
        const size = cuts[turn % cuts.length] ?? 1;
        cut.push(...decoder.push(stream.subarray(at, at + size)));
        at += size;
      }
      assert.deepEqual(cut, whole);
    }),
  );
});

test("commands as the agent reads them", () => {
  assert.equal(Buffer.from(encodeAgentCommand("guest-info")).toString(), '{"execute":"guest-info"}\n');
  const sync = Buffer.from(encodeAgentSync(9));
  assert.equal(sync[0], 0xff);
  assert.equal(sync.subarray(1).toString(), '{"execute":"guest-sync-delimited","arguments":{"id":9}}\n');
});
