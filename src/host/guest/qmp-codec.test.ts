import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeLine, encodeCommand, type QmpMessage, qmpDecoder } from "./qmp-codec.ts";

test("the messages of a session", () => {
  const greeting =
    '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}';
  assert.deepEqual(decodeLine(greeting), { kind: "greeting", version: "7.2.22" });
  assert.deepEqual(decodeLine('{"return": {}, "id": 1}'), { kind: "return", id: 1, value: {} });
  assert.deepEqual(decodeLine('{"id": 2, "error": {"class": "DeviceNotFound", "desc": "Device \'x\' not found"}}'), {
    kind: "error",
    id: 2,
    class: "DeviceNotFound",
    text: "Device 'x' not found",
  });
  const event =
    '{"timestamp": {"seconds": 1700000000, "microseconds": 123456}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}';
  assert.deepEqual(decodeLine(event), {
    kind: "event",
    event: { name: "SHUTDOWN", data: { guest: true, reason: "guest-shutdown" }, time: 1700000000123 },
  });
  assert.equal(decodeLine("\r"), undefined);
});

test("what is not QMP is foreign, and nothing throws", () => {
  for (const line of [
    "{",
    "[]",
    "null",
    "3",
    '{"return": {}}',
    '{"return": {}, "id": "a"}',
    "{}",
    '{"event": 5}',
    "\u0000",
  ]) {
    assert.equal(decodeLine(line)?.kind, "foreign", line);
  }
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void qmpDecoder().push(bytes)));
  fc.assert(fc.property(fc.json(), (line) => void decodeLine(line)));
});

test("messages do not depend on how the stream is cut", () => {
  const values = fc.array(fc.jsonValue(), { maxLength: 8 });
  fc.assert(
    fc.property(values, fc.array(fc.nat({ max: 40 })), (list, cuts) => {
      const stream = Buffer.from(list.map((value, id) => `${JSON.stringify({ return: value, id })}\r\n`).join(""));
      const decoder = qmpDecoder();
      const messages: QmpMessage[] = [];
      let start = 0;
      for (const cut of cuts) {
        messages.push(...decoder.push(stream.subarray(start, start + cut)));
        start += cut;
      }
      messages.push(...decoder.push(stream.subarray(start)));
      const expected = list.map((value, id) => ({ kind: "return", id, value: JSON.parse(JSON.stringify(value)) }));
      assert.deepEqual(messages, expected);
    }),
  );
});

test("a line without end costs no memory, and the next one is read", () => {
  const decoder = qmpDecoder(100);
  for (let round = 0; round < 50; round += 1) assert.deepEqual(decoder.push(new Uint8Array(60).fill(120)), []);
  const [first, second] = decoder.push(Buffer.from('\n{"return": 1, "id": 7}\n'));
  assert.equal(first?.kind, "foreign");
  assert.deepEqual(second, { kind: "return", id: 7, value: 1 });
});

test("a command is one line, whatever its arguments hold", () => {
  fc.assert(
    fc.property(fc.string(), fc.dictionary(fc.string(), fc.jsonValue()), (name, args) => {
      const line = encodeCommand(3, name, args);
      assert.equal(line.indexOf("\n"), line.length - 1);
      const back: unknown = JSON.parse(line);
      assert.deepEqual(back, JSON.parse(JSON.stringify({ execute: name, arguments: args, id: 3 })));
    }),
  );
});
