/** Builds versions by hand, laid out as the x86-64 ABI does, for tests that need no compiler. */

import type { Annotation, DigestLine, Enumerator, FunctionInfo, Member, Type, TypeId, Variable, Version } from '../../lib/model/model.js';

export interface TypeSpec {
  readonly make: (b: Builder) => TypeId;
}

export interface FieldSpec {
  readonly type: TypeSpec;
  readonly annotations?: readonly Annotation[];
  readonly width?: number;
}

type Fields = Record<string, TypeSpec | FieldSpec>;

export class Builder {
  readonly types: Type[] = [];
  readonly variables: Variable[] = [];
  readonly functions: FunctionInfo[] = [];
  readonly byKey = new Map<string, TypeId>();

  intern(key: string, make: () => Type): TypeId {
    const known = this.byKey.get(key);
    if (known !== undefined) return known;
    const id = this.types.push({ kind: 'void' }) - 1;
    this.byKey.set(key, id);
    this.types[id] = make();
    return id;
  }
  layout(id: TypeId): { size: number; align: number } {
    const t = this.types[id]!;
    switch (t.kind) {
      case 'pointer':
        return { size: 8, align: 8 };
      case 'array': {
        const of = this.layout(t.of);
        return { size: of.size * (t.count ?? 0), align: of.align };
      }
      case 'typedef':
        return this.layout(t.to);
      case 'void':
      case 'function':
        return { size: 1, align: 1 };
      default:
        return t.layout ?? { size: 0, align: 1 };
    }
  }
}

const sizes: Record<string, number> = { char: 1, 'signed char': 1, 'unsigned char': 1, _Bool: 1, short: 2, 'unsigned short': 2, int: 4, 'unsigned int': 4, float: 4, long: 8, 'unsigned long': 8, 'long long': 8, double: 8, 'long double': 16 };

export const base = (name: string): TypeSpec => ({
  make: (b) => b.intern(`base ${name}`, () => ({ kind: 'base', name, layout: { size: sizes[name] ?? 4, align: sizes[name] ?? 4 } })),
});
export const int = base('int');
export const long = base('long');
export const char = base('char');
export const nothing: TypeSpec = { make: (b) => b.intern('void', () => ({ kind: 'void' })) };
export const ptr = (to: TypeSpec, ...annotations: Annotation[]): TypeSpec => ({
  make: (b) => {
    const id = to.make(b);
    return b.intern(`* ${id} ${JSON.stringify(annotations)}`, () => ({ kind: 'pointer', to: id, annotations }));
  },
});
export const arr = (of: TypeSpec, count?: number, ...annotations: Annotation[]): TypeSpec => ({
  make: (b) => {
    const id = of.make(b);
    return b.intern(`[${count}] ${id} ${JSON.stringify(annotations)}`, () => ({ kind: 'array', of: id, annotations, ...(count === undefined ? {} : { length: String(count), count }) }));
  },
});
export const func: TypeSpec = {
  make: (b) => {
    const v = nothing.make(b);
    return b.intern('function', () => ({ kind: 'function', returns: v, parameters: [], variadic: false }));
  },
};
/** A struct by tag: defined elsewhere with `struct`. */
export const ref = (tag: string): TypeSpec => ({ make: (b) => b.intern(`struct ${tag}`, () => ({ kind: 'struct', tag, parameters: [], attributes: [], origin: { file: 'types.h', line: 1, system: false } })) });

export interface AggregateOptions {
  readonly parameters?: readonly string[];
  readonly system?: boolean;
  readonly untagged?: boolean;
  readonly line?: number;
}

export const aggregate = (kind: 'struct' | 'union', tag: string, fields: Fields, options: AggregateOptions = {}): TypeSpec => ({
  make: (b) => {
    const key = `${kind} ${tag}`;
    const known = b.byKey.get(key);
    const existing = known === undefined ? undefined : b.types[known];
    if (known !== undefined && existing?.kind === kind && existing.members !== undefined) return known;
    const line = options.line ?? 10;
    const shell: Type = { kind, ...(options.untagged ? {} : { tag }), parameters: options.parameters ?? [], attributes: [], origin: { file: 'types.h', line, system: options.system ?? false }, members: [] };
    const id = known ?? b.intern(key, () => shell);
    b.types[id] = shell;
    let at = 0;
    let align = 1;
    let size = 0;
    let bitsUsed = 0;
    const members: Member[] = Object.entries(fields).map(([name, spec], i) => {
      const f: FieldSpec = 'make' in spec ? { type: spec } : spec;
      const type = f.type.make(b);
      const l = b.layout(type);
      align = Math.max(align, l.align);
      const origin = { file: 'types.h', line: line + 1 + i, system: options.system ?? false };
      const shown = name.startsWith('_anonymous') ? '' : name;
      if (f.width !== undefined) {
        const unit = l.size * 8;
        let bit = at * 8 - (bitsUsed > 0 ? 8 * Math.ceil(bitsUsed / 8) - bitsUsed : 0);
        if (bitsUsed === 0) bit = at * 8;
        if (Math.floor(bit / unit) !== Math.floor((bit + f.width - 1) / unit)) bit = Math.ceil(bit / unit) * unit;
        bitsUsed = (bit + f.width) % 8 === 0 ? 8 : (bit + f.width) % 8;
        at = Math.ceil((bit + f.width) / 8);
        size = Math.max(size, at);
        return { name: shown, type, annotations: f.annotations ?? [], origin, width: String(f.width), bitOffset: bit, bitWidth: f.width };
      }
      bitsUsed = 0;
      const offset = kind === 'union' ? 0 : Math.ceil(at / l.align) * l.align;
      at = kind === 'union' ? 0 : offset + l.size;
      size = Math.max(size, offset + l.size);
      return { name: shown, type, annotations: f.annotations ?? [], origin, offset };
    });
    b.types[id] = { ...shell, members, layout: { size: Math.ceil(size / align) * align, align } };
    return id;
  },
});
export const struct = (tag: string, fields: Fields, options?: AggregateOptions): TypeSpec => aggregate('struct', tag, fields, options);
export const union = (tag: string, fields: Fields, options?: AggregateOptions): TypeSpec => aggregate('union', tag, fields, options);
export const enumeration = (tag: string, names: Record<string, number | bigint>, size = 4): TypeSpec => ({
  make: (b) =>
    b.intern(`enum ${tag}`, () => ({
      kind: 'enum',
      tag,
      enumerators: Object.entries(names).map(([name, value]): Enumerator => ({ name, value: BigInt(value) })),
      origin: { file: 'types.h', line: 5, system: false },
      layout: { size, align: size },
    })),
});
export const typedef = (name: string, to: TypeSpec, options: { annotations?: Annotation[]; parameters?: string[] } = {}): TypeSpec => ({
  make: (b) => {
    const id = to.make(b);
    return b.intern(`typedef ${name}`, () => ({ kind: 'typedef', name, to: id, parameters: options.parameters ?? [], annotations: options.annotations ?? [], origin: { file: 'types.h', line: 3, system: false } }));
  },
});

export interface VariableSpec {
  readonly type: TypeSpec;
  readonly annotations?: readonly Annotation[];
  readonly constant?: boolean;
}

/** Digest lines that differ whenever the printed type does. */
function digests(b: Builder): DigestLine[] {
  const hash = (text: string): string => {
    let h = 0xcbf29ce484222325n;
    for (const c of text) h = ((h ^ BigInt(c.codePointAt(0)!)) * 0x100000001b3n) & 0xffffffffffffffffn;
    return h.toString(16).padStart(16, '0');
  };
  const text = (id: TypeId, refs: Set<string>, top = false): string => {
    const t = b.types[id]!;
    if ((t.kind === 'struct' || t.kind === 'union' || t.kind === 'enum') && t.tag !== undefined && !top) {
      refs.add(`${t.kind}:${t.tag}`);
      return `${t.kind}:${t.tag}`;
    }
    switch (t.kind) {
      case 'pointer':
        return `*${JSON.stringify(t.annotations)}${text(t.to, refs)}`;
      case 'array':
        return `[${t.count}]${text(t.of, refs)}`;
      case 'typedef':
        return text(t.to, refs);
      case 'struct':
      case 'union':
        return `{${(t.members ?? []).map((m) => `${m.name}:${m.width ?? ''}${JSON.stringify(m.annotations)}${text(m.type, refs)}`).join(';')}}`;
      case 'enum':
        return (t.enumerators ?? []).map((e) => `${e.name}=${e.value}`).join();
      case 'base':
        return t.name;
      default:
        return t.kind;
    }
  };
  const lines: DigestLine[] = [];
  for (const v of b.variables) {
    if (v.scope === 'local' || v.scope === 'formal' || v.constant) continue;
    const refs = new Set<string>();
    lines.push({ kind: 'V', name: v.key, digest: hash(text(v.type, refs) + JSON.stringify(v.annotations)), references: [...refs].sort() });
  }
  b.types.forEach((t, id) => {
    if ((t.kind !== 'struct' && t.kind !== 'union' && t.kind !== 'enum') || t.tag === undefined || ('members' in t && t.members === undefined)) return;
    const refs = new Set<string>();
    lines.push({ kind: 'T', name: `${t.kind}:${t.tag}`, digest: hash(text(id, refs, true)), references: [...refs].sort() });
  });
  return lines;
}

/** A version with these variables (keys as in a summary) and functions. `also`: types that no variable leads to. */
export function version(name: string, variables: Record<string, TypeSpec | VariableSpec>, options: { functions?: string[]; also?: TypeSpec[] } = {}): Version {
  const b = new Builder();
  let line = 20;
  for (const [key, spec] of Object.entries(variables)) {
    const v: VariableSpec = 'make' in spec ? { type: spec } : spec;
    const type = v.type.make(b);
    const func = /([^/@]*)#/.exec(key)?.[1];
    b.variables.push({
      key,
      name: key.replace(/^.*[/#@]/, ''),
      scope: key.includes('#') ? (key.includes('/') ? 'local-static' : 'local') : key.includes('/') ? 'static' : 'global',
      ...(func === undefined ? {} : { func }),
      type,
      annotations: v.annotations ?? [],
      automatic: true,
      constant: v.constant ?? false,
      threadLocal: false,
      origin: { file: 'main.c', line: line++, system: false },
      size: b.layout(type).size,
    });
  }
  for (const t of options.also ?? []) t.make(b);
  for (const key of options.functions ?? [])
    b.functions.push({ key, name: key.replace(/^.*\//, ''), isStatic: key.includes('/'), addressTaken: true, notesLocals: false, origin: { file: 'main.c', line: 1, system: false } });
  return { name, target: 'x86_64-linux-gnu', units: ['main.c'], types: b.types, variables: b.variables, functions: b.functions, digests: digests(b) };
}
