/** Models as text: one line a thing, for people and for golden tests. Stable from run to run. */
import { formatDigestLine } from './digest.js';
import type { Annotation, Model, Type, TypeId } from './model.js';

/** Annotation as its macro. */
export function annotationText(types: readonly Type[], a: Annotation): string {
  switch (a.kind) {
    case 'ptrarray':
    case 'array':
      return `E_${a.kind.toUpperCase()}(${a.length})`;
    case 'parameter':
      return `E_T(@${a.name})`;
    case 'custom':
      return `E_CUSTOM(${a.allocate}, ${a.release})`;
    case 'generic':
      return `E_G(${a.arguments.map((g) => (g.kind === 'type' ? typeText(types, g.type) : g.kind === 'parameter' ? `@${g.name}` : '[opaque]')).join(', ')})`;
    default:
      return `E_${a.kind.toUpperCase()}`;
  }
}

/** A type in words that read from left to right: `pointer to array [4] of struct s`. */
export function typeText(types: readonly Type[], id: TypeId): string {
  const type = types[id]!;
  const annotated =
    'annotations' in type ? type.annotations.map((a) => `${annotationText(types, a)} `).join('') : '';
  switch (type.kind) {
    case 'void':
      return 'void';
    case 'base':
      return type.name;
    case 'unknown':
      return `unknown \`${type.text}\``;
    case 'pointer':
      return `${annotated}pointer to ${typeText(types, type.to)}`;
    case 'array':
      return `${annotated}array [${type.count ?? type.length ?? ''}] of ${typeText(types, type.of)}`;
    case 'function':
      return `function (${type.parameters.map((p) => typeText(types, p)).join(', ')}${type.variadic ? ', ...' : ''}) returning ${typeText(types, type.returns)}`;
    case 'typedef':
      return `${annotated}${type.name}`;
    default:
      return type.tag === undefined ? `${type.kind} #${id}` : `${type.kind} ${type.tag}`;
  }
}

/** `--kitsune-dump=model`. */
export function dumpModel(model: Model): string {
  const { types } = model;
  const lines: string[] = [];
  types.forEach((type, id) => {
    if (type.kind === 'typedef') {
      const parameters = type.parameters.map((p) => `@${p}`).join(', ');
      lines.push(
        `typedef ${type.name}${parameters === '' ? '' : `<${parameters}>`} = ${typeText(types, type.to)}`,
      );
    } else if (type.kind === 'struct' || type.kind === 'union' || type.kind === 'enum') {
      const layout = type.layout ? ` size ${type.layout.size} align ${type.layout.align}` : '';
      const place = ` (${type.origin.file}:${type.origin.line}${type.origin.system ? ', system' : ''})`;
      lines.push(`${typeText(types, id)}${layout}${place}`);
      if (type.kind === 'enum') {
        for (const e of type.enumerators ?? [])
          lines.push(`  ${e.name}${e.value === undefined ? '' : ` = ${e.value}`}`);
        return;
      }
      for (const m of type.members ?? []) {
        const at =
          m.offset !== undefined
            ? `@${m.offset} `
            : m.bitOffset !== undefined
              ? `@bit ${m.bitOffset}+${m.bitWidth} `
              : '';
        const notes = m.annotations.map((a) => ` ${annotationText(types, a)}`).join('');
        lines.push(
          `  ${at}${m.name === '' ? '<anonymous>' : m.name}: ${typeText(types, m.type)}${m.width === undefined ? '' : ` : ${m.width}`}${notes}`,
        );
      }
    }
  });
  for (const v of model.variables) {
    const flags = [
      v.automatic ? 'automatic' : '',
      v.constant ? 'const' : '',
      v.threadLocal ? 'thread-local' : '',
    ].filter(Boolean);
    const notes = v.annotations.map((a) => ` ${annotationText(types, a)}`).join('');
    lines.push(
      `variable ${v.key}: ${typeText(types, v.type)}${notes} [${[v.scope, ...flags].join(', ')}]${v.size === undefined ? '' : ` size ${v.size}`} (${v.origin.file}:${v.origin.line})`,
    );
  }
  for (const f of model.functions) {
    const flags = [
      f.isStatic ? 'static' : '',
      f.addressTaken ? 'address taken' : '',
      f.notesLocals ? 'notes locals' : '',
    ].filter(Boolean);
    lines.push(`function ${f.key}${flags.length > 0 ? ` [${flags.join(', ')}]` : ''}`);
  }
  for (const d of model.digests) lines.push(formatDigestLine(d));
  return `${lines.join('\n')}\n`;
}
