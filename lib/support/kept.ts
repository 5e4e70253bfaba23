/** Results that are kept as long as what they were made of. */

/** `make`, once for each object: the next time its result is the one before. The object must not change. */
export function keptBy<K extends object, V>(make: (key: K) => V): (key: K) => V {
  const results = new WeakMap<K, { readonly value: V }>();
  return (key) => {
    const known = results.get(key);
    if (known) return known.value;
    const value = make(key);
    results.set(key, { value });
    return value;
  };
}
