/** The tutorial, followed to the letter: its program, its commands, and what it says that they print. */

import { strict as assert } from 'node:assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { mustRun, projectRoot, runTool, startProgram, temporaryFolder, tools, update } from './harness.js';

const tutorial = suite('the tutorial');
const text = readFileSync(join(projectRoot, 'docs', 'tutorial.md'), 'utf8');

/** The code blocks of a language, in order; the untitled ones have none. */
function blocks(language: string): string[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter((match) => match[1] === language)
    .map((match) => match[2] ?? '');
}

tutorial('takes a counter through three versions, with one refusal on the way', async () => {
  const folder = temporaryFolder('tutorial');
  const [program = '', changedStruct = ''] = blocks('c');
  const rules = blocks('').find((block) => block.includes('INIT struct visit.at')) ?? '';
  const source = join(folder, 'counter.c');
  const build = async (version: number, code: string): Promise<string> => {
    writeFileSync(source, code.replaceAll('counter 1', `counter ${version}`));
    await mustRun(tools.kcc, ['-O2', '-Wall', '-o', `counter-${version}`, 'counter.c'], { cwd: folder });
    return join(folder, `counter-${version}`);
  };
  const first = await build(1, program);
  const second = await build(2, program);
  const third = await build(3, program.replace(/struct visit \{[\s\S]*?\};\n/, changedStruct));

  const counter = startProgram(first);
  try {
    const heard: string[] = [];
    /** Listens until that version has counted so many visits. */
    const shows = async (version: number, atLeast: number): Promise<void> => {
      for (;;) {
        const line = await counter.hear();
        heard.push(line);
        const [, by, visits] = /counter (\d): (\d+) visits/.exec(line) ?? [];
        if (Number(by) === version && Number(visits) >= atLeast) return;
      }
    };
    await shows(1, 1);
    const updated = await update(counter.pid, second);
    assert.equal(updated.status, 0, updated.output);
    await shows(2, 2);

    const refused = await update(counter.pid, third);
    assert.equal(refused.status, 1);
    assert.match(refused.output, /KT4201.*counter\.c\/visits[\s\S]*kitsune-xfgen --shared/);
    const incomplete = await runTool(tools.xfgen, ['--shared', second, third]);
    assert.equal(incomplete.status, 1);
    assert.match(incomplete.output, /struct visit\.at/);

    const file = join(folder, 'counter.xf');
    writeFileSync(file, rules);
    await mustRun(tools.xfgen, ['--shared', second, third, file]);
    const last = await update(counter.pid, third);
    assert.equal(last.status, 0, last.output);
    await shows(3, 4);
    assert.doesNotMatch(heard.join('\n'), /counter [23]: 1 visits/, 'a version began to count anew');
  } finally {
    counter.kill();
  }
});

tutorial.run();
