/** The shapes that DWARF describes. */
import { dirname, resolve } from 'node:path';
import { type DebugInfo, type Entry, entryAttribute, numberAttribute, textAttribute } from './dwarf.js';
import { bodyText, memberText, type Shapes, type TypeShape, type VariableShape } from './shapes.js';

const transparent = new Set(['typedef', 'const_type', 'volatile_type', 'restrict_type', 'atomic_type']);

/** gcc's names of arithmetic types, as C declares them canonically. */
const baseNames: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'long int': 'long',
    'long unsigned int': 'unsigned long',
    'short int': 'short',
    'short unsigned int': 'unsigned short',
    'long long int': 'long long',
    'long long unsigned int': 'unsigned long long',
    '__int128 unsigned': 'unsigned __int128',
    'complex float': '_Complex float',
    'complex double': '_Complex double',
    'complex long double': '_Complex long double',
  }),
);

const recordWord: ReadonlyMap<string, string> = new Map([
  ['structure_type', 'struct'],
  ['union_type', 'union'],
  ['enumeration_type', 'enum'],
]);

/** What a va_list is an array of, and what it is a pointer to as a parameter. */
const isVariableArguments = (entry: Entry | undefined): boolean =>
  entry?.tag === 'structure_type' && textAttribute(entry, 'name') === '__va_list_tag';

/** What an object's debugging information says of its variables and types. */
export function shapesOfDebugInfo(info: DebugInfo): Shapes {
  const texts = new Map<Entry, string>();

  const target = (entry: Entry): Entry | undefined => {
    let at = entryAttribute(info, entry, 'type');
    while (at && transparent.has(at.tag)) at = entryAttribute(info, at, 'type');
    return at;
  };
  const targetText = (entry: Entry): string => typeText(target(entry));

  function typeText(entry: Entry | undefined): string {
    if (!entry) return 'void';
    const known = texts.get(entry);
    if (known !== undefined) return known;
    const text = newTypeText(entry);
    texts.set(entry, text);
    return text;
  }

  function newTypeText(entry: Entry): string {
    const name = textAttribute(entry, 'name');
    switch (entry.tag) {
      case 'base_type':
        return baseNames.get(name ?? '') ?? name ?? '?';
      case 'pointer_type':
        return isVariableArguments(target(entry)) ? '__builtin_va_list' : `*${targetText(entry)}`;
      case 'array_type': {
        if (entry.attributes.has('GNU_vector')) return `vector ${targetText(entry)}`;
        if (isVariableArguments(target(entry))) return '__builtin_va_list';
        const bounds = entry.children.filter((c) => c.tag === 'subrange_type').map(boundText);
        return `${bounds.join('')}${targetText(entry)}`;
      }
      case 'subroutine_type': {
        const parameters = entry.children.flatMap((c) =>
          c.tag === 'formal_parameter'
            ? [targetText(c)]
            : c.tag === 'unspecified_parameters' && entry.attributes.has('prototyped')
              ? ['...']
              : [],
        );
        return `function(${parameters.join(', ')}) ${targetText(entry)}`;
      }
      case 'structure_type':
      case 'union_type':
      case 'enumeration_type': {
        const word = recordWord.get(entry.tag) ?? '?';
        return name !== undefined ? `${word} ${name}` : `${word} ${recordText(entry)}`;
      }
      default:
        return `${entry.tag} ${name ?? ''}`;
    }
  }

  function boundText(entry: Entry): string {
    const count = numberAttribute(entry, 'count');
    if (count !== undefined) return count === 0 ? '[]' : `[${count}]`;
    const upper = numberAttribute(entry, 'upper_bound');
    return upper === undefined ? '[]' : `[${upper + 1}]`;
  }

  function recordText(entry: Entry): string {
    const size = numberAttribute(entry, 'byte_size');
    if (entry.tag === 'enumeration_type') {
      const values = entry.children
        .filter((c) => c.tag === 'enumerator')
        .map((c) => `${textAttribute(c, 'name') ?? '?'} = ${numberAttribute(c, 'const_value') ?? '?'}`);
      return bodyText(size, values);
    }
    const members = entry.children
      .filter((c) => c.tag === 'member')
      .map((c) => {
        const width = numberAttribute(c, 'bit_size');
        const bit = numberAttribute(c, 'data_bit_offset') ?? 0;
        return memberText(textAttribute(c, 'name') ?? '', targetText(c), {
          // Members of unions have no place of their own: they start where it starts.
          offset: numberAttribute(c, 'data_member_location') ?? 0,
          ...(width === undefined ? {} : { bits: [bit, width] as const }),
        });
      });
    return bodyText(size, members);
  }

  const variables: VariableShape[] = [];
  const types: TypeShape[] = [];
  const visit = (entry: Entry, func: string | undefined, folder: string): void => {
    for (const child of entry.children) {
      switch (child.tag) {
        case 'subprogram': {
          const origin = entryAttribute(info, child, 'specification') ?? child;
          visit(child, textAttribute(child, 'name') ?? textAttribute(origin, 'name') ?? '?', folder);
          break;
        }
        case 'lexical_block':
        case 'inlined_subroutine':
          visit(child, func, folder);
          break;
        case 'structure_type':
        case 'union_type':
        case 'enumeration_type': {
          if (child.attributes.has('declaration')) break;
          const name = textAttribute(child, 'name');
          const word = recordWord.get(child.tag) ?? '?';
          types.push({
            name: name === undefined ? word : `${word} ${name}`,
            file: resolve(folder, textAttribute(child, 'decl_file') ?? '?'),
            line: numberAttribute(child, 'decl_line') ?? 0,
            local: func !== undefined,
            body: recordText(child),
          });
          // A type inside a struct stands beside it in C.
          visit(child, func, folder);
          break;
        }
        case 'variable': {
          const location = child.attributes.get('location');
          const isStatic = location !== undefined && /^DW_OP_(?:addr|const8u|GNU_push_tls)/.test(location);
          const folded = location === undefined && child.attributes.has('const_value');
          // __func__ and its like.
          if (!(isStatic || folded) || child.attributes.has('artificial')) break;
          const declared = entryAttribute(info, child, 'specification') ?? child;
          const name = textAttribute(declared, 'name');
          if (name === undefined) break;
          const external = declared.attributes.has('external');
          variables.push({
            name,
            scope: func !== undefined ? 'local-static' : external ? 'global' : 'static',
            ...(func === undefined ? {} : { func }),
            line: numberAttribute(child, 'decl_line') ?? numberAttribute(declared, 'decl_line') ?? 0,
            // A definition may complete the array that an earlier declaration left open.
            type: child.attributes.has('type') ? targetText(child) : targetText(declared),
            threadLocal: location?.includes('tls') ?? false,
            ...(folded ? { folded } : {}),
          });
        }
      }
    }
  };
  for (const unit of info.units) visit(unit, undefined, textAttribute(unit, 'comp_dir') ?? dirname('.'));
  return { variables, types };
}
