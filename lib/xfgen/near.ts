/** "Did you mean": the known names closest to one that was not found. */

/** Number of single-character edits between two words. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min(
          (row[j] ?? 0) + 1,
          (next[j - 1] ?? 0) + 1,
          (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
        ),
      );
    row = next;
  }
  return row[b.length] ?? 0;
}

/** At most three of `known` that `wanted` may have meant, best first. */
export function nearest(wanted: string, known: Iterable<string>): string[] {
  const limit = Math.max(2, Math.floor(wanted.length / 3));
  const lastPart = (s: string): string => s.replace(/^.*[/#@ ]/, '');
  const scored: { name: string; score: number }[] = [];
  for (const name of new Set(known)) {
    if (name === wanted) continue;
    const whole = Math.abs(name.length - wanted.length) > limit ? limit + 1 : editDistance(wanted, name);
    const score = lastPart(name) === lastPart(wanted) ? 0.5 : whole;
    if (score <= limit) scored.push({ name, score });
  }
  scored.sort((x, y) => x.score - y.score || (x.name < y.name ? -1 : 1));
  return scored.slice(0, 3).map((s) => s.name);
}
