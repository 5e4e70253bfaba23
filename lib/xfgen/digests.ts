/** Digest lines: which variables differ between two versions, and what a pair of versions depends on. */

import { formatDigestLine } from '../model/digest.js';
import type { DigestLine, Version } from '../model/model.js';

export interface DigestIndex {
  /** The lines that a variable's meaning depends on, sorted; empty if the version has none for it. */
  closure(key: string): readonly string[];
  /** Digests of a tag, sorted and joined, undefined if there is none. */
  tag(name: string): string | undefined;
  readonly tags: readonly string[];
}

export function indexDigests(version: Version): DigestIndex {
  const variables = new Map<string, DigestLine[]>();
  const tags = new Map<string, DigestLine[]>();
  for (const d of version.digests) {
    const map = d.kind === 'V' ? variables : tags;
    map.set(d.name, [...(map.get(d.name) ?? []), d]);
  }
  return {
    closure(key) {
      const lines = new Set<string>();
      const seen = new Set<string>();
      const todo: DigestLine[] = [...(variables.get(key) ?? [])];
      for (let d = todo.pop(); d !== undefined; d = todo.pop()) {
        lines.add(formatDigestLine(d));
        for (const r of d.references) {
          if (seen.has(r)) continue;
          seen.add(r);
          todo.push(...(tags.get(r) ?? []));
        }
      }
      return [...lines].sort();
    },
    tag(name) {
      const list = tags.get(name);
      return list === undefined ? undefined : [...new Set(list.map((d) => d.digest))].sort().join(',');
    },
    tags: [...tags.keys()].sort(),
  };
}
