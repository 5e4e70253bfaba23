import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { keptBy } from '../../lib/support/kept.js';

test('a result is made once for an object, also if it is undefined', () => {
  let made = 0;
  const lengthOf = keptBy((list: readonly number[]) => {
    made++;
    return list.length > 0 ? list.length : undefined;
  });
  const empty: number[] = [];
  assert.equal([lengthOf(empty), lengthOf(empty), made], [undefined, undefined, 1]);
  // Equal is not the same.
  assert.equal([lengthOf([1, 2]), lengthOf([1, 2]), made], [2, 2, 3]);
});

test.run();
