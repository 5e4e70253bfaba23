import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readCmocka, readUvu } from './results.js';

test('the counts of a uvu process are those of its summary', () => {
  const output =
    'SKIPPED slow: no network\n• • ✘   (2 / 3)\n\n  Total:     3\n  Passed:    2\n  Skipped:   1\n  Duration:  1.0ms\n';
  assert.equal(readUvu(output), { passed: 2, failed: 1, skipped: 1, reasons: ['slow: no network'] });
});

test('a test that says in its body that it is skipped counts as skipped, not as passed', () => {
  const output =
    '• skipped: only root can do this\n• •   (2 / 2)\n\n  Total:     2\n  Passed:    2\n  Skipped:   0\n';
  assert.equal(readUvu(output), {
    passed: 1,
    failed: 0,
    skipped: 1,
    reasons: ['only root can do this'],
  });
});

test('a uvu process that ended early has no counts', () => {
  assert.is(readUvu('• •   (2 / 2)\nExiting early before testing is finished.\n'), undefined);
});

test('the counts of cmocka groups are added up', () => {
  const output = [
    '[==========] tests: Running 2 test(s).',
    '[ RUN      ] a',
    '[       OK ] a',
    '[==========] tests: 2 test(s) run.',
    '[  PASSED  ] 1 test(s).',
    '[  FAILED  ] tests: 1 test(s), listed below:',
    '[  FAILED  ] b',
    '[==========] more: Running 2 test(s).',
    '[==========] more: 2 test(s) run.',
    '[  PASSED  ] 1 test(s).',
    '[  SKIPPED ] more: 1 test(s), listed below:',
    '[  SKIPPED ] c',
    '',
  ].join('\n');
  assert.equal(readCmocka(output), { passed: 2, failed: 1, skipped: 1, reasons: ['c'] });
});

test('a C test that printed no summary has no counts', () => {
  assert.is(readCmocka('Segmentation fault\n'), undefined);
});

test.run();
