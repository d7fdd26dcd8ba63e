const MAX = (1n << 63n) - 1n;

/** Power of ten of each decimal suffix. */
const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, "": 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
/** Power of two of each binary suffix. */
const BINARY: Readonly<Record<string, bigint>> = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n };

const QUANTITY = /^([+-]?)(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d+)|([KMGTPE]i|[numkMGTPE]?))$/;

/**
 * A Kubernetes quantity (`64Mi`, `1024M`, `1.5G`, `500m`, `1e3`) as a whole number, rounded away from zero.
 *
 * As `resource.Quantity.Value()`: what exceeds 2^63-1 is capped there. Undefined when the text is no quantity.
 */
export function parseQuantity(text: string): bigint | undefined {
  const match = QUANTITY.exec(text);
  if (match === null) return undefined;
  const [, sign, number = "", exponent, suffix = ""] = match;
  const [whole = "", fraction = ""] = number.split(".");
  const digits = BigInt(`0${whole}${fraction}`);
  const shift = BINARY[suffix] ?? 0n;
  const power = (exponent === undefined ? (DECIMAL[suffix] ?? 0) : Number(exponent)) - fraction.length;
  const size = magnitude(digits << shift, power);
  return sign === "-" ? -size : size;
}

/** `digits` × 10^`power`, rounded up and capped; the cap keeps absurd exponents from costing anything. */
function magnitude(digits: bigint, power: number): bigint {
  if (digits === 0n) return 0n;
  if (power >= 19) return MAX;
  if (power >= 0) return capped(digits * 10n ** BigInt(power));
  if (-power > digits.toString().length) return 1n;
  const divisor = 10n ** BigInt(-power);
  return capped((digits + divisor - 1n) / divisor);
}

function capped(value: bigint): bigint {
  return value > MAX ? MAX : value;
}
