/**
 * Digest lines: what the update compares at run time instead of types (docs/internals.md).
 *
 * The digest is taken over a canonical text in which tagged types stand by their tag and everything else is expanded;
 * layout numbers are not part of it, the compiler's flags that change them without changing the source are not seen.
 */
import { createHash } from 'node:crypto';
import { keptBy } from '../support/kept.js';
import type { Annotation, DigestLine, Member, Type, TypeId, Variable } from './model.js';

/** Whether the next version can take its value over: not what is registered for look-up only (constants), nor noted locals. */
export const holdsState = ({ constant, scope }: Variable): boolean =>
  !constant && scope !== 'local' && scope !== 'formal';

/** Types, and what of their source the digests cover. */
export interface DigestedTypes {
  readonly types: readonly Type[];
  /** By type: bounds and enumerator values without names of enumerators; `#12` is the type with that number. */
  readonly bounds: ReadonlyMap<TypeId, string>;
  readonly enumTexts: ReadonlyMap<TypeId, readonly string[]>;
  /** By member: canonical width, and attributes that change its place. */
  readonly widths: ReadonlyMap<Member, string>;
  readonly memberAttributes: ReadonlyMap<Member, readonly string[]>;
  /** Types of system headers held by value in a variable or in a struct of the summary. */
  readonly byValue: ReadonlySet<TypeId>;
}

export interface DigestInput extends DigestedTypes {
  readonly variables: readonly Variable[];
  /** The first of the types, which lead to no other and have no name from another one; what is found is kept with the object. */
  readonly headers: DigestedTypes;
}

interface Canonical {
  readonly text: string;
  readonly references: ReadonlySet<string>;
}

/** First 64 bits of SHA-256, in hexadecimal. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** For untagged structs, unions and enums: the first typedef that names them. */
export function typedefNames(types: readonly Type[]): Map<TypeId, string> {
  const names = new Map<TypeId, string>();
  for (const type of types) {
    if (type.kind !== 'typedef' || names.has(type.to)) continue;
    const target = types[type.to]!;
    const untagged =
      (target.kind === 'struct' || target.kind === 'union' || target.kind === 'enum') &&
      target.tag === undefined;
    if (untagged) names.set(type.to, type.name);
  }
  return names;
}

/** `struct:s`, `typedef:t` for types that stand by their name; undefined for what is expanded. */
export function tagOf(
  types: readonly Type[],
  names: ReadonlyMap<TypeId, string>,
  id: TypeId,
): string | undefined {
  const type = types[id]!;
  if (type.kind !== 'struct' && type.kind !== 'union' && type.kind !== 'enum') return undefined;
  if (type.tag !== undefined) return `${type.kind}:${type.tag}`;
  const name = names.get(id);
  return name === undefined ? undefined : `typedef:${name}`;
}

/** Digest lines of types, and how the types that were asked for are written. */
interface Digested {
  readonly lines: readonly DigestLine[];
  readonly canonical: ReadonlyMap<TypeId, Canonical>;
}

const none: Digested = { lines: [], canonical: new Map() };
const digestedHeaders = keptBy((headers: DigestedTypes): Digested => {
  const { ofTypes, canonical } = digester(headers, none);
  return { lines: ofTypes(0), canonical };
});

/** The digest lines of a unit, sorted, `V` before `T`. */
export function digestLines(input: DigestInput): DigestLine[] {
  const headers = digestedHeaders(input.headers);
  const { ofVariables, ofTypes } = digester(input, headers);
  const own = [...ofVariables(input.variables), ...ofTypes(input.headers.types.length)];
  const unique = new Map([...headers.lines, ...own].map((line) => [formatDigestLine(line), line]));
  return [...unique.keys()].sort(compareLines).map((key) => unique.get(key)!);
}

function digester(
  input: DigestedTypes,
  headers: Digested,
): {
  canonical: ReadonlyMap<TypeId, Canonical>;
  ofVariables(variables: readonly Variable[]): DigestLine[];
  /** Of those from `first` on. */
  ofTypes(first: TypeId): DigestLine[];
} {
  const { types } = input;
  const names = typedefNames(types);
  const cache = new Map<TypeId, Canonical>();

  const annotationText = (annotations: readonly Annotation[], refs: Set<string>): string => {
    if (annotations.length === 0) return '';
    const parts = annotations.map((a) => {
      switch (a.kind) {
        case 'ptrarray':
        case 'array':
          return `${a.kind}(${a.length})`;
        case 'parameter':
          return `t(${a.name})`;
        case 'custom':
          return `custom(${a.allocate},${a.release})`;
        case 'generic':
          return `g(${a.arguments.map((g) => (g.kind === 'type' ? use(g.type, refs) : g.kind === 'parameter' ? `@${g.name}` : 'opaque')).join(',')})`;
        default:
          return a.kind;
      }
    });
    return `{${parts.sort().join(';')}}`;
  };
  const expression = (text: string, refs: Set<string>): string =>
    text.replace(/#(\d+)/g, (_, n: string) => use(Number(n), refs)).replace(/\s+/g, '');
  const use = (id: TypeId, refs: Set<string>): string => {
    const tag = tagOf(types, names, id);
    if (tag !== undefined) {
      refs.add(tag);
      return tag;
    }
    let known = headers.canonical.get(id) ?? cache.get(id);
    if (!known) {
      const own = new Set<string>();
      known = { text: expand(id, own), references: own };
      cache.set(id, known);
    }
    for (const r of known.references) refs.add(r);
    return known.text;
  };
  const expand = (id: TypeId, refs: Set<string>): string => {
    const type = types[id]!;
    switch (type.kind) {
      case 'void':
        return 'void';
      case 'base':
        return type.name;
      case 'unknown':
        return `?${type.text}`;
      case 'pointer':
        return `*${annotationText(type.annotations, refs)}(${use(type.to, refs)})`;
      case 'array': {
        const bound = input.bounds.get(id) ?? type.length ?? '';
        return `[${expression(bound, refs)}]${annotationText(type.annotations, refs)}(${use(type.of, refs)})`;
      }
      case 'function':
        return `fn(${type.parameters.map((p) => use(p, refs)).join(',')}${type.variadic ? '...' : ''})(${use(type.returns, refs)})`;
      case 'typedef': {
        const parameters = type.parameters.length > 0 ? `<${type.parameters.join(',')}>` : '';
        return `${annotationText(type.annotations, refs)}${parameters}${use(type.to, refs)}`;
      }
      case 'enum': {
        const texts = input.enumTexts.get(id) ?? [];
        const list = (type.enumerators ?? []).map((e, i) => `${e.name}=${expression(texts[i] ?? '?', refs)}`);
        return `enum{${list.join(',')}}`;
      }
      case 'struct':
      case 'union': {
        if (!type.members) return `${type.kind}?`;
        const members = type.members.map((m) => {
          const width = m.width === undefined ? '' : `:${expression(input.widths.get(m) ?? m.width, refs)}`;
          const attributes = (input.memberAttributes.get(m) ?? []).join(' ');
          return `${m.name}${annotationText(m.annotations, refs)}${attributes}:${use(m.type, refs)}${width}`;
        });
        const head = [...type.attributes].sort().join(' ');
        return `${type.kind}<${type.parameters.join(',')}>${head}{${members.join(';')}}`;
      }
    }
  };

  const line = (kind: 'V' | 'T', name: string, text: string, refs: ReadonlySet<string>): DigestLine => ({
    kind,
    name,
    digest: digestOf(text),
    references: [...refs].sort(),
  });
  const ofVariables = (variables: readonly Variable[]): DigestLine[] =>
    variables.flatMap((v) => {
      if (!holdsState(v)) return [];
      const refs = new Set<string>();
      const text = `${annotationText(v.annotations, refs)}${use(v.type, refs)}`;
      return [line('V', v.key, text, refs)];
    });
  const ofType = (type: Type, id: TypeId): DigestLine[] => {
    const tag = tagOf(types, names, id);
    if (tag === undefined || (type.kind !== 'struct' && type.kind !== 'union' && type.kind !== 'enum'))
      return [];
    const complete = type.kind === 'enum' ? type.enumerators !== undefined : type.members !== undefined;
    if (!complete || (type.origin.system && !input.byValue.has(id))) return [];
    const refs = new Set<string>();
    const text = expand(id, refs);
    return [line('T', tag, text, refs)];
  };
  return {
    canonical: cache,
    ofVariables,
    ofTypes: (first) => types.slice(first).flatMap((type, i) => ofType(type, first + i)),
  };
}

const compareLines = (a: string, b: string): number =>
  a[0] === b[0] ? (a < b ? -1 : 1) : a[0] === 'V' ? -1 : 1;

/** A line as it stands in section `kitsune_digests`. Blanks in keys (file names) are written `\x20`. */
export const formatDigestLine: (line: DigestLine) => string = keptBy((line) => {
  const name = line.name.replace(/\\/g, '\\x5c').replace(/ /g, '\\x20').replace(/,/g, '\\x2c');
  return `${line.kind} ${name} ${line.digest} ${line.references.length > 0 ? line.references.join(',') : '-'}`;
});
