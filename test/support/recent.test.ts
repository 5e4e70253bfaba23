/** What is remembered, and what is forgotten first. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Recent } from '../../lib/support/recent.js';

test('what was used least recently goes first', () => {
  const recent = new Recent<number>(2);
  recent.set('a', 1);
  recent.set('b', 2);
  assert.is(recent.get('a'), 1);
  recent.set('c', 3);
  assert.equal(
    ['a', 'b', 'c'].map((k) => recent.get(k)),
    [1, undefined, 3],
  );
});

test('sizes are bounded, however often a key is set', () => {
  const recent = new Recent<string>(10, (s) => s.length);
  for (let i = 0; i < 100; i++) recent.set('a', 'aaaa');
  recent.set('b', 'bbbb');
  assert.equal(
    ['a', 'b'].map((k) => recent.get(k)),
    ['aaaa', 'bbbb'],
  );
  recent.set('c', 'cccc');
  assert.equal(
    ['a', 'b', 'c'].map((k) => recent.get(k)),
    [undefined, 'bbbb', 'cccc'],
  );
});

test('what is larger than all there is room for is not kept', () => {
  const recent = new Recent<string>(3, (s) => s.length);
  recent.set('large', 'large');
  recent.set('s', 's');
  assert.equal(
    ['large', 's'].map((k) => recent.get(k)),
    [undefined, 's'],
  );
});

test.run();
