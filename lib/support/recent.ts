/** What a process that lives for long remembers: bounded, and what was used least recently goes first. */
export class Recent<V> {
  readonly #values = new Map<string, V>();
  #size = 0;

  /** `most` is the sum of sizes that is kept; by default each value counts one. */
  constructor(
    private readonly most: number,
    private readonly sizeOf: (value: V) => number = () => 1,
  ) {}

  get(key: string): V | undefined {
    const value = this.#values.get(key);
    if (value !== undefined) {
      this.#values.delete(key);
      this.#values.set(key, value);
    }
    return value;
  }

  /** What is there already stays. */
  set(key: string, value: V): void {
    if (this.#values.has(key)) return;
    this.#values.set(key, value);
    this.#size += this.sizeOf(value);
    for (const [oldest, old] of this.#values) {
      if (this.#size <= this.most) break;
      this.#values.delete(oldest);
      this.#size -= this.sizeOf(old);
    }
  }
}
