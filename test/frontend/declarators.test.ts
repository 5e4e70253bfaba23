import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { codes, parse, variables } from './sample.js';

/** A generated declarator: C text around a name, and the words for what it declares, given those for the base. */
interface Generated {
  readonly text: string;
  readonly words: (base: string) => string;
  readonly outermost: 'name' | 'pointer' | 'array' | 'function';
}

const named: Generated = { text: 'v', words: (base) => base, outermost: 'name' };
const parameters = fc.constantFrom(
  ['void', ''],
  ['int', 'int'],
  ['char *, T', 'pointer to char, T'],
  ['T (*)(int), ...', 'pointer to function (int) returning T, ...'],
  ['int a, struct s b[4]', 'int, pointer to struct s'],
  ['T (x), int (T)', 'T, pointer to function (T) returning int'],
);
const qualifiers = fc.constantFrom('', '__restrict ', 'volatile ', '__attribute__((aligned(8))) ');

/** Wraps a declarator in one more derivation; arrays of functions and functions that return arrays do not exist. */
const wrap = (inner: Generated): fc.Arbitrary<Generated> => {
  const grouped = inner.outermost === 'pointer' ? `(${inner.text})` : inner.text;
  const pointer = qualifiers.map(
    (q): Generated => ({
      text: `* ${q}${inner.text}`,
      words: (base) => inner.words(`pointer to ${base}`),
      outermost: 'pointer',
    }),
  );
  const array = fc.integer({ min: 1, max: 9 }).map(
    (n): Generated => ({
      text: `${grouped}[${n}]`,
      words: (base) => inner.words(`array [${n}] of ${base}`),
      outermost: 'array',
    }),
  );
  const fn = parameters.map(
    ([text, words]): Generated => ({
      text: `${grouped}(${text})`,
      words: (base) => inner.words(`function (${words}) returning ${base}`),
      outermost: 'function',
    }),
  );
  const parentheses = fc.constant<Generated>({ ...inner, text: `(${inner.text})` });
  if (inner.outermost === 'function') return fc.oneof(pointer);
  if (inner.outermost === 'name') return fc.oneof(pointer, array, parentheses);
  return inner.outermost === 'array' ? fc.oneof(pointer, array) : fc.oneof(pointer, array, fn, parentheses);
};

const declarators = fc.integer({ min: 0, max: 6 }).chain((depth) => {
  let built: fc.Arbitrary<Generated> = fc.constant(named);
  for (let i = 0; i < depth; i++) built = built.chain(wrap);
  return built;
});

const bases = fc.constantFrom(
  ['int', 'int'],
  ['T', 'T'],
  ['struct s', 'struct s'],
  ['unsigned long int', 'unsigned long'],
  ['volatile T', 'T'],
  ['__typeof__(T)', 'T'],
  ['char unsigned', 'unsigned char'],
);

test('generated declarators are read as what they were generated from', () => {
  fc.assert(
    fc.property(bases, declarators, ([base, words], d) => {
      const unit = parse(`typedef int T; struct s { int x; };\n${base} ${d.text};\nint after;`);
      assert.equal(codes(unit), []);
      const expected = d.words(words!);
      const lines = variables(unit);
      if (expected.startsWith('function ')) assert.equal(lines, ['after: int']);
      else assert.equal(lines, [`v: ${expected}`, 'after: int'], `${base} ${d.text};`);
    }),
    { numRuns: 3000 },
  );
});

test('generated members and typedefs are read alike', () => {
  fc.assert(
    fc.property(bases, declarators, ([base, words], d) => {
      const expected = d.words(words!);
      if (expected.startsWith('function ')) return;
      const unit = parse(
        `typedef int T; struct s { int x; };\ntypedef ${base} ${d.text}; v u;\nstruct m { ${base} ${d.text}; } w;`,
      );
      assert.equal(codes(unit), []);
      assert.equal(variables(unit), ['u: v', 'w: struct m']);
    }),
    { numRuns: 500 },
  );
});

test.run();
