/** One field of a message: its number and, by wire type, a number or bytes. */
export interface WireField {
  readonly number: number;
  readonly value: bigint | Uint8Array;
}

/**
 * The fields of a protobuf message in the order in which they come. Deprecated groups are refused.
 *
 * @throws RangeError where the bytes are no message.
 */
export function readFields(bytes: Uint8Array): WireField[] {
  const fields: WireField[] = [];
  let at = 0;

  function varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at];
      if (byte === undefined) break;
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new RangeError("a number in the message has no end");
  }

  function take(length: number): Uint8Array {
    if (length > bytes.length - at) throw new RangeError("a field is longer than the message");
    at += length;
    return bytes.subarray(at - length, at);
  }

  while (at < bytes.length) {
    const tag = Number(varint());
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        fields.push({ number, value: varint() });
        break;
      case 1:
        fields.push({ number, value: take(8) });
        break;
      case 2:
        fields.push({ number, value: take(Number(varint())) });
        break;
      case 5:
        fields.push({ number, value: take(4) });
        break;
      default:
        throw new RangeError(`field ${number} has a wire type that is not known`);
    }
  }
  return fields;
}

/** A field to write: text, a message that is already written, a flag, an int64 (bigint) or a double (number). */
export type WritableField = readonly [number: number, value: string | Uint8Array | boolean | bigint | number];

/** A message of these fields, in this order; an int64 must not be negative. */
export function writeMessage(fields: readonly WritableField[]): Uint8Array {
  return Buffer.concat(fields.flatMap(([number, value]) => writeField(number, value)));
}

function writeField(number: number, value: WritableField[1]): Uint8Array[] {
  if (typeof value === "boolean") return [writeVarint(number * 8), writeVarint(value ? 1 : 0)];
  if (typeof value === "bigint") return [writeVarint(number * 8), writeVarint(Number(value))];
  if (typeof value === "number") {
    const double = Buffer.alloc(8);
    double.writeDoubleLE(value);
    return [writeVarint(number * 8 + 1), double];
  }
  const content = typeof value === "string" ? Buffer.from(value, "utf8") : value;
  return [writeVarint(number * 8 + 2), writeVarint(content.length), content];
}

function writeVarint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest < 128 ? rest : (rest % 128) + 128);
    if (rest < 128) return Uint8Array.from(bytes);
  }
}
