/** What test programs print, read: how many tests passed, failed and were left out, and why. */

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** `NAME: WHY` of tests that were left out. */
  readonly reasons: readonly string[];
}

const lastNumber = (text: string, pattern: RegExp): number | undefined => {
  const found = [...text.matchAll(pattern)].at(-1)?.[1];
  return found === undefined ? undefined : Number(found);
};

const reasonsIn = (output: string): string[] =>
  [...output.matchAll(/^(?:[•✘] )*(?:SKIPPED|skipped:) (.+)$/gm)].map((m) => m[1]!);

/**
 * The summary that uvu prints at the end of a process; undefined if it did not get there. A test that finds only while it runs
 * that it can't do its work says so in a line `skipped: WHY`: uvu counts it as passed, this does not.
 */
export function readUvu(output: string): Counts | undefined {
  const total = lastNumber(output, /^ {2}Total: +(\d+)/gm);
  const passed = lastNumber(output, /^ {2}Passed: +(\d+)/gm);
  const skipped = lastNumber(output, /^ {2}Skipped: +(\d+)/gm);
  if (total === undefined || passed === undefined || skipped === undefined) return undefined;
  const reasons = reasonsIn(output);
  const late = Math.min(passed, Math.max(0, reasons.length - skipped));
  return { passed: passed - late, failed: total - passed, skipped: skipped + late, reasons };
}

/** cmocka's standard output, of one or several groups; undefined if there is none. */
export function readCmocka(output: string): Counts | undefined {
  const count = (pattern: RegExp): number =>
    [...output.matchAll(pattern)].reduce((sum, m) => sum + Number(m[1]), 0);
  if (!/^\[==========\].*run/m.test(output)) return undefined;
  const given = reasonsIn(output);
  // The names at the end, where the test gave no reason.
  const names = [...output.matchAll(/^\[ {2}SKIPPED \] (\w+)$/gm)].map((m) => m[1]!);
  return {
    passed: count(/^\[ {2}PASSED {2}\] (\d+) test/gm),
    failed: count(/^\[ {2}FAILED {2}\] [^\n]*?(\d+) test\(s\), listed below/gm),
    skipped: count(/^\[ {2}SKIPPED \] [^\n]*?(\d+) test\(s\), listed below/gm),
    reasons: given.length > 0 ? given : [...new Set(names)],
  };
}
