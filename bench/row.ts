/** One line of a bench's report. */
export interface Row {
  readonly name: string;
  /** How many times it was measured. */
  readonly n: number;
  readonly p50: number;
  /** Of what is measured per second, what 95 in 100 slices of the time reach. */
  readonly p95: number;
  readonly p99?: number;
  readonly unit: string;
  /** What it is compared with, and that one's p50. */
  readonly peer?: { readonly name: string; readonly p50: number; readonly p95: number };
  /** How many times faster than the peer: its p50 over ours, or of what is measured per second ours over its. */
  readonly ratio?: number;
  readonly goal?: string;
  readonly met?: boolean;
}

/** A bench: it measures and says what it measured; it leaves the machine as it found it. */
export interface Bench {
  readonly name: string;
  readonly about: string;
  run(log: (line: string) => void): Promise<readonly Row[]>;
}

/** The value that a share of the samples does not exceed. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Three significant digits, as a number. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

/** p50 and p95 of the samples. */
export function spread(samples: readonly number[]): { readonly n: number; readonly p50: number; readonly p95: number } {
  return { n: samples.length, p50: rounded(percentile(samples, 0.5)), p95: rounded(percentile(samples, 0.95)) };
}
