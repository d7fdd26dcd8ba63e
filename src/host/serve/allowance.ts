/**
 * How many messages of one guest are looked at: a burst, then a steady rate (a token bucket).
 *
 * All guests are served on one thread; a guest that floods its own link must not keep the others waiting.
 */
export class Allowance {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #at: number | undefined;
  #told = false;

  constructor(burst = 200, perSecond = 100) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
  }

  /** `now` in milliseconds of a monotonic clock. `tell` is a "no" that is the first after a "yes". */
  take(now: number): "yes" | "no" | "tell" {
    const gained = (Math.max(0, now - (this.#at ?? now)) / 1000) * this.#perSecond;
    this.#at = now;
    this.#left = Math.min(this.#burst, this.#left + gained);
    if (this.#left >= 1) {
      this.#left -= 1;
      // Told again only after the guest has been quiet enough for half of a burst.
      if (this.#left >= this.#burst / 2) this.#told = false;
      return "yes";
    }
    if (this.#told) return "no";
    this.#told = true;
    return "tell";
  }
}
