/** The programs of fixtures/original are built as for the original Kitsune, by their own Makefiles, and update themselves. */

import { strict as assert } from 'node:assert';
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { mustRun, projectRoot, runTool, temporaryFolder } from './harness.js';

const original = suite('builds in the style of the original');
const sources = join(projectRoot, 'fixtures/original');
const root = temporaryFolder('original');
const layout = join(root, 'kitsune');

original.before(async () => {
  await mustRun('npm', ['run', '--silent', 'original-layout', '--', layout], { cwd: projectRoot });
});

/** `make` in a copy of the program's folder, with the given settings. */
async function build(program: string, folder: string, settings: readonly string[] = []): Promise<void> {
  cpSync(join(sources, 'versions.mk'), join(root, 'versions.mk'));
  cpSync(join(sources, program), folder, { recursive: true });
  const environment = { MAKEFLAGS: '' };
  await mustRun('make', ['-j2', `KITSUNE=${layout}`, ...settings], { cwd: folder, environment });
}

const driver = join(layout, 'bin/driver');

async function expectOutput(program: string, folder: string): Promise<void> {
  const ran = await runTool(driver, ['v1.so', 'an-argument'], { cwd: folder });
  const lines = ran.stdout.split('\n');
  assert.match(lines[0] ?? '', /^The process id is \(\d+\)\.$/);
  assert.equal(
    lines.slice(1).join('\n'),
    readFileSync(join(sources, program, 'expected'), 'utf8'),
    ran.stderr,
  );
  assert.equal(ran.stderr, '');
  assert.equal(ran.status, 0);
}

for (const program of readdirSync(sources).filter((name) => existsSync(join(sources, name, 'Makefile')))) {
  original(`${program}: the versions are built by its Makefile and take over from each other`, async () => {
    const folder = join(root, program);
    await build(program, folder);
    await expectOutput(program, folder);
  });
}

original('a version is linked by the plain compiler with and without -u kitsune_init_inplace', async () => {
  for (const [name, link] of [
    ['with', '-u kitsune_init_inplace'],
    ['without', ''],
  ] as const) {
    const folder = join(root, `list-${name}`);
    await build('list', folder, [`LINK=${link}`]);
    await expectOutput('list', folder);
  }
});

original('xfgen, called in the original way, lists missing rules and writes nothing', async () => {
  const folder = join(root, 'list-unfinished');
  cpSync(join(root, 'list'), folder, { recursive: true });
  const ran = await runTool(join(layout, 'bin/xfgen'), ['out.c', 'v1.ktt', 'v2.ktt'], { cwd: folder });
  assert.equal(ran.status, 1, ran.output);
  assert.match(ran.output, /INIT struct node\.square/);
  assert.equal(existsSync(join(folder, 'out.c')), false);
});

original(
  'a self-update without a next version, or to one that does not exist, leaves the program running',
  async () => {
    const folder = join(root, 'list-missing');
    cpSync(join(root, 'list'), folder, { recursive: true });
    await mustRun('rm', ['v2.so'], { cwd: folder });
    const ran = await runTool(driver, ['v1.so'], { cwd: folder });
    assert.match(ran.stdout, /v1: 5 nodes, head 4/);
    assert.match(ran.stdout, /not reached/);
    assert.equal(ran.status, 1);
  },
);

original.run();
