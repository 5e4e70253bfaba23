/**
 * Programs of many threads, updated while they work: nothing is lost, nothing grows, no request goes unanswered.
 *
 * KITSUNE_THREAD_UPDATES=N makes it N updates of the large program instead of the default.
 */

import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { buildFixtureVersion, fixturesFolder } from './fixture-run.js';
import { mustRun, type Program, startProgram, temporaryFolder, tools, update } from './harness.js';

const threads = suite('programs of many threads');
const folder = temporaryFolder('threads');
const running: Program[] = [];
const updates = Number(process.env.KITSUNE_THREAD_UPDATES ?? 500);

threads.after.each(() => {
  for (const program of running.splice(0)) program.kill();
});

async function versions(): Promise<{ v1: string; v2: string }> {
  const source = join('programs', 'many-threads');
  const place = join(folder, 'many-threads');
  const v1 = await buildFixtureVersion(source, place, 1);
  const v2 = await buildFixtureVersion(source, place, 2);
  await mustRun(tools.xfgen, ['--shared', v1, v2, join(fixturesFolder, source, 'v1-v2.xf')]);
  await mustRun(tools.xfgen, ['--shared', v2, v1, join(fixturesFolder, source, 'v2-v1.xf')]);
  return { v1, v2 };
}

function start(executable: string, args: readonly string[]): Program {
  const program = startProgram(executable, { args });
  running.push(program);
  return program;
}

async function mustUpdate(program: Program, next: string): Promise<void> {
  const ran = await update(program.pid, next, { doupd: ['--timeout', '30'] });
  assert.equal(ran.status, 0, `${ran.output}\nthe program: ${program.errors()}`);
}

threads('sixty-four threads that block in every way are updated again and again', async () => {
  const { v1, v2 } = await versions();
  const program = start(v1, ['64', '7']);
  assert.equal(await program.ask('look', 20_000), 'v1 works');
  await mustUpdate(program, v2);
  await mustUpdate(program, v1);
  assert.equal(await program.ask('look', 20_000), 'v1 works');
  const before = program.footprint();
  for (let i = 0; i < updates; i++) {
    await mustUpdate(program, i % 2 ? v1 : v2);
    if (i % 10 === 9) assert.equal(await program.ask('look', 20_000), i % 2 ? 'v1 works' : 'v2 works');
  }
  const after = program.footprint();
  assert.ok(
    after.descriptors <= before.descriptors,
    `descriptors: ${before.descriptors}, ${after.descriptors}`,
  );
  assert.ok(
    after.residentKiB <= before.residentKiB + 8192,
    `memory, KiB: ${before.residentKiB}, ${after.residentKiB}`,
  );
  assert.equal(
    await program.ask('end', 60_000),
    `v${updates % 2 ? 2 : 1} 64 threads: nothing lost, children, wrong 0`,
  );
  assert.equal(await program.finish(), 0);
});

/** A library that is not built with kcc and has a thread of its own, which calls back when it is told to. */
const library = `
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>
static void (*callback)(void);
static sem_t go;
static void *run(void *unused) {
    for (;;) {
        while (sem_wait(&go));
        callback();
    }
    return unused;
}
void library_start(void (*f)(void)) { pthread_t t; callback = f; sem_init(&go, 0, 0); pthread_create(&t, 0, run, 0); }
void library_call(void) { sem_post(&go); }
`;
const user = `
#include "dialogue.h"
void library_start(void (*f)(void));
void library_call(void);
static volatile int stay, calls;
static void called(void) {
    calls++;
    while (stay)
        usleep(1000);
}
static void answer(char *request) {
    stay = !strcmp(request, "stay");
    if (strcmp(request, "leave") != 0)
        library_call();
    usleep(30000);
    say("v%d calls %d", VERSION, calls);
}
int main(void) {
    kitsune_do_automigrate();
    if (!kitsune_is_updating())
        library_start(called);
    return converse(answer);
}
`;

threads(
  "a library's own thread is let run, and its callback follows; inside the program's code it hinders",
  async () => {
    const place = temporaryFolder('library-thread');
    const file = (name: string): string => join(place, name);
    writeFileSync(file('library.c'), library);
    writeFileSync(file('user.c'), user);
    await mustRun('gcc', ['-shared', '-fPIC', '-O1', '-o', file('liblibrary.so'), file('library.c')]);
    for (const version of ['1', '2'])
      await mustRun(
        tools.kcc,
        [
          '-O1',
          `-DVERSION=${version}`,
          `-I${fixturesFolder}`,
          '-o',
          file(`v${version}`),
          'user.c',
          `-L${place}`,
          `-Wl,-rpath,${place}`,
          '-llibrary',
        ],
        { cwd: place },
      );
    const program = start(file('v1'), []);
    assert.equal(await program.ask('call'), 'v1 calls 1');
    await mustUpdate(program, file('v2'));
    assert.equal(await program.ask('call'), 'v2 calls 2');
    assert.equal(await program.ask('stay'), 'v2 calls 3');
    const ran = await update(program.pid, file('v1'), { doupd: ['--timeout', '5'] });
    assert.equal(ran.status, 1, ran.output);
    assert.match(ran.output, /KT5002/);
    assert.equal(await program.ask('leave'), 'v2 calls 3');
    await mustUpdate(program, file('v1'));
    assert.equal(await program.ask('call'), 'v1 calls 4');
    assert.equal(await program.finish(), 0);
  },
);

threads.run();
