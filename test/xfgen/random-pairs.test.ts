/**
 * Random pairs of structs: fields of all kinds, reordered, dropped, added, widened, grown. The old version fills lists and arrays of them,
 * the new one compares every field. What may be converted is known from how the pair was made.
 */

import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { migrate } from './run-pair.js';

const test = suite('random pairs of types');

interface FieldPair {
  readonly name: string;
  /** Declarations in each version; undefined: not there. */
  readonly old?: string;
  readonly new?: string;
  /** Statement that fills it, and condition that it must fulfil, for the object `p` number `i`. */
  readonly fill: string;
  readonly check: string;
}

type Maker = (name: string, grown: boolean) => FieldPair;

const scalar =
  (from: string, to: string, value: string): Maker =>
  (name, grown) => ({
    name,
    old: `${from} ${name}`,
    new: `${grown ? to : from} ${name}`,
    fill: `p->${name} = (${from})(${value});`,
    check: `p->${name} == (${from})(${value})`,
  });

const makers: readonly Maker[] = [
  scalar('int', 'long', 'i * 3 - 7'),
  scalar('unsigned char', 'int', 'i + 200'),
  scalar('signed char', 'short', '-i'),
  scalar('unsigned', 'long long', '4000000000u + i'),
  scalar('short', 'double', 'i - 300'),
  scalar('float', 'double', 'i + 0.5f'),
  scalar('double', 'long double', 'i * 0.25'),
  scalar('_Bool', 'unsigned', 'i % 2'),
  scalar('long', 'long', '-5000000000L - i'),
  scalar('char', 'int', "'a' + i % 20"),
  (name, grown) => ({
    name,
    old: `enum tone ${name}`,
    new: `${grown ? 'int' : 'enum tone'} ${name}`,
    fill: `p->${name} = i % 3;`,
    check: `p->${name} == i % 3${grown ? '' : ' + 1'}`,
  }),
  (name, grown) => ({
    name,
    old: `unsigned ${name} : 5`,
    new: `unsigned ${name} : ${grown ? 9 : 5}`,
    fill: `p->${name} = i % 32;`,
    check: `p->${name} == (unsigned)(i % 32)`,
  }),
  (name, grown) => ({
    name,
    old: `int ${name} : 7`,
    new: `${grown ? 'long' : 'int'} ${name} : ${grown ? 20 : 7}`,
    fill: `p->${name} = -i % 60;`,
    check: `p->${name} == -i % 60`,
  }),
  (name, grown) => ({
    name,
    old: `short ${name}[3]`,
    new: `${grown ? 'int' : 'short'} ${name}[${grown ? 5 : 3}]`,
    fill: `for (int k = 0; k < 3; k++) p->${name}[k] = i + k;`,
    check: `p->${name}[0] == i && p->${name}[2] == i + 2${grown ? ` && p->${name}[4] == 0` : ''}`,
  }),
  (name, grown) => ({
    name,
    old: `char ${name}[9]`,
    new: `char ${name}[${grown ? 17 : 9}]`,
    fill: `sprintf(p->${name}, "%d", i);`,
    check: `atoi(p->${name}) == i`,
  }),
  (name) => ({
    name,
    old: `const char *${name}`,
    new: `const char *${name}`,
    fill: `p->${name} = strdup("heap");`,
    check: `!strcmp(p->${name}, "heap")`,
  }),
  (name) => ({
    name,
    old: `int (*${name})(int)`,
    new: `int (*${name})(int)`,
    fill: `p->${name} = which;`,
    check: `p->${name}(i) == i + VERSION`,
  }),
  (name) => ({
    name,
    old: `struct inner ${name}`,
    new: `struct inner ${name}`,
    fill: `p->${name}.a = i; p->${name}.self = &p->${name}.a;`,
    check: `p->${name}.a == i && p->${name}.self == &p->${name}.a`,
  }),
  (name) => ({
    name,
    old: `struct leaf *${name}`,
    new: `struct leaf *${name}`,
    fill: `p->${name} = i % 4 ? leaf(i) : NULL;`,
    check: `(i % 4 ? p->${name} && p->${name}->v == i : !p->${name})`,
  }),
  (name, grown) => ({
    name,
    old: `union { int a; float b; } ${name}`,
    new: `union { int a; float b; ${grown ? 'double c; ' : ''}} ${name}`,
    fill: `p->${name}.b = i;`,
    check: `p->${name}.b == i`,
  }),
  (name) => ({
    name,
    old: `struct leaf ${name}[2]`,
    new: `struct leaf ${name}[2]`,
    fill: `p->${name}[1].v = i;`,
    check: `p->${name}[1].v == i && p->${name}[0].v == 0`,
  }),
  (name) => ({
    name,
    old: `struct { char x; struct { short y_${name}; long z; }; } ${name}`,
    new: `struct { long w; struct { short y_${name}; long z; }; char x; } ${name}`,
    fill: `p->${name}.x = 1; p->${name}.y_${name} = i; p->${name}.z = -i;`,
    check: `p->${name}.x == 1 && p->${name}.y_${name} == i && p->${name}.z == -i && p->${name}.w == 0`,
  }),
];

const field = fc.record({
  maker: fc.integer({ min: 0, max: makers.length - 1 }),
  grown: fc.boolean(),
  fate: fc.constantFrom('kept', 'kept', 'kept', 'dropped', 'added'),
  order: fc.integer(),
});
const structure = fc.record({
  fields: fc.array(field, { minLength: 1, maxLength: 9 }),
  place: fc.integer({ min: 0, max: 9 }),
});
const program = fc.array(structure, { minLength: 1, maxLength: 8 });

function sources(
  structs: readonly {
    fields: readonly { maker: number; grown: boolean; fate: string; order: number }[];
    place: number;
  }[],
): [string, string] {
  const common = (version: number): string => `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <kitsune.h>
#define VERSION ${version}
enum tone { ${version === 2 ? 'WHITE, ' : ''}LOW, MIDDLE, HIGH };
struct inner { int first; ${version === 2 ? 'long pad; ' : ''}int a; int *self; };
struct leaf { ${version === 2 ? 'char tag; ' : ''}int v; };
struct inner *reach_inner; struct leaf *reach_leaf;
int which(int x) { return x + VERSION; }
`;
  let old = `${common(1)}static struct leaf *leaf(int v) { struct leaf *l = calloc(1, sizeof *l); l->v = v; return l; }\n`;
  let now = common(2);
  let build = 'void build(void) { (void)leaf;\n';
  let check = 'int check(void) {\n';
  structs.forEach((s, n) => {
    const pairs = s.fields.map((f, k) => {
      const made = makers[f.maker]!(`f${k}`, f.grown);
      return { ...made, fate: f.fate, order: f.order };
    });
    const inOld = pairs.filter((p) => p.fate !== 'added');
    const inNew = [...pairs.filter((p) => p.fate !== 'dropped')].sort((a, b) => a.order - b.order);
    const link = `struct s${n} *next`;
    old += `struct s${n} { ${[...inOld.map((p) => p.old), link].join('; ')}; };\nstruct s${n} *head${n}; struct s${n} array${n}[3];\n`;
    const newFields = inNew.map((p) => p.new);
    newFields.splice(s.place % (newFields.length + 1), 0, link);
    now += `struct s${n} { ${newFields.join('; ')}; };\nstruct s${n} *head${n}; struct s${n} array${n}[3];\n`;
    const fills = inOld.map((p) => p.fill).join(' ');
    build += `  for (int i = 0; i < 20; i++) { struct s${n} *p = calloc(1, sizeof *p); p->next = head${n}; head${n} = p; ${fills} }\n`;
    build += `  for (int i = 0; i < 3; i++) { struct s${n} *p = &array${n}[i]; p->next = i ? &array${n}[i - 1] : head${n}; ${fills} }\n`;
    const checks = inNew
      .filter((p) => p.fate === 'kept')
      .map((p, k) => ({ k, text: p.check.replace(/== \(enum tone\)\(i % 3\)/, '== (int)(i % 3 + 1)') }));
    const tests = checks
      .map(
        (c) =>
          `if (!(${c.text})) { fprintf(stderr, "struct s${n}, object %d: %s\\n", i, ${JSON.stringify(c.text)}); return 1; }`,
      )
      .join('\n    ');
    check += `  { int i = 19; for (struct s${n} *p = head${n}; p; p = p->next, i--) {\n    ${tests} }\n  if (i != -1) { fprintf(stderr, "list of s${n}\\n"); return 1; } }\n`;
    check += `  for (int i = 0; i < 3; i++) { struct s${n} *p = &array${n}[i]; if (p->next != (i ? &array${n}[i - 1] : head${n})) { fprintf(stderr, "array of s${n}\\n"); return 1; }\n    ${tests} }\n`;
  });
  return [`${old}${build}}\n`, `${now}${check}  return 0; }\n`];
}

test('every field of random structs has its value in the new version, in lists, arrays and inside each other', async () => {
  await fc.assert(
    fc.asyncProperty(program, async (structs) => {
      const [old, now] = sources(structs);
      const r = await migrate(old, now, '', {
        zeroNewFields: true,
        copied: structs.flatMap((_, n) => [`head${n}`, `array${n}`]),
      }).catch((e: unknown) => ({ status: -1, output: String(e) }));
      if (r.status !== 0) process.stderr.write(`${r.output}\n${old}\n${now}`);
      assert.is(r.status, 0, r.output);
    }),
    { numRuns: Number(process.env.KITSUNE_TEST_RUNS ?? 6), seed: 20240611, endOnFailure: true },
  );
});

test.run();
