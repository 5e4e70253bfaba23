/**
 * Programs whose libraries must be in a process from its start: those with a malloc of their own, and those with much thread-local
 * storage that is addressed directly. They run and are updated as without Kitsune, and their environment shows nothing of it.
 */

import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { mustRun, type Program, startProgram, temporaryFolder, tools, update } from './harness.js';

const libraries = suite('libraries that must be there from the start');
const folder = temporaryFolder('libraries');
const running: Program[] = [];

libraries.after.each(() => {
  for (const program of running.splice(0)) program.kill();
});

/** Never gives anything back; counts who asks. */
const allocator = `
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
static char *next, *end;
static unsigned long calls;
unsigned long calls_of_malloc(void) { return calls; }
void *memalign(size_t alignment, size_t size) {
  __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
  if (next == NULL) {
    next = mmap(NULL, 1 << 28, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    end = next + (1 << 28);
  }
  uintptr_t p = ((uintptr_t)next + 16 + alignment - 1) & ~(uintptr_t)(alignment - 1);
  if (size > (uintptr_t)end - p) return NULL;
  ((size_t *)p)[-1] = size;
  next = (char *)(p + size);
  return (void *)p;
}
void *malloc(size_t size) { return memalign(16, size); }
void *calloc(size_t n, size_t size) { return malloc(n * size); }
void free(void *p) { (void)p; }
size_t malloc_usable_size(void *p) { return p ? ((size_t *)p)[-1] : 0; }
void *realloc(void *old, size_t size) {
  void *p = malloc(size);
  size_t before = malloc_usable_size(old);
  if (p && old) memcpy(p, old, before < size ? before : size);
  return p;
}
`;

const storage = `
static __thread volatile char block[16384] __attribute__((tls_model("initial-exec"))) = "first";
unsigned long calls_of_malloc(void) {
  block[sizeof block - 1]++;
  return block[0] == 'f' ? 0 : block[sizeof block - 1];
}
`;

const program = `
#include <kitsune.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern char **environ;
unsigned long calls_of_malloc(void);
struct node {
#if VERSION > 1
  long added;
#endif
  struct node *next;
  char *name;
};
static struct node *list;
int main(void) {
  char line[100];
  kitsune_do_automigrate();
  if (!kitsune_is_updating())
    for (int i = 0; i < 1000; i++) {
      struct node *n = calloc(1, sizeof *n);
      n->next = list;
      n->name = strdup("somebody");
      list = n;
    }
  for (;;) {
    kitsune_update("main");
    if (!fgets(line, sizeof line, stdin)) {
      if (feof(stdin)) return 0;
      clearerr(stdin);
      continue;
    }
    unsigned long before = calls_of_malloc(), n = 0, odd = 0;
    free(strdup("libc asks"));
    for (struct node *p = list; p; p = p->next, n++) odd += strcmp(p->name, "somebody") != 0;
    for (char **e = environ; *e; e++) odd += !strncmp(*e, "LD_PRELOAD", 10) || !strncmp(*e, "KITSUNE_FORMER", 14) || !strncmp(*e, "KITSUNE_EXEC", 12);
    printf("version %d nodes %lu odd %lu library %lu\\n", VERSION, n, odd, calls_of_malloc() - before);
    fflush(stdout);
  }
}
`;

/** Uses what the program defines, as libwrap does with `allow_severity`: in read-only data of its own, and by calls. */
const back = `
extern unsigned long counted;
void tick(void);
static unsigned long *const place = &counted;
static void (*const function)(void) = tick;
unsigned long calls_of_malloc(void) {
  tick();
  function();
  return *place == counted ? counted : 0;
}
`;

const own = `
#if VERSION > 1
long before[1000] = {1};
#endif
unsigned long counted = 1;
void tick(void) { counted += VERSION; }
`;

/** Builds a program of two versions with such a library, updates it, and asks it before and after. */
async function run(name: string, source: string, more = ''): Promise<readonly string[]> {
  const at = (file: string): string => join(folder, `${name}${file}`);
  writeFileSync(at('-library.c'), source);
  writeFileSync(at('.c'), more + program);
  await mustRun('gcc', [
    '-O1',
    '-shared',
    '-fPIC',
    '-fno-builtin',
    '-o',
    at('-library.so'),
    at('-library.c'),
  ]);
  for (const version of [1, 2])
    await mustRun(tools.kcc, [
      `-DVERSION=${version}`,
      '-O1',
      '-o',
      at(`-${version}`),
      at('.c'),
      at('-library.so'),
      `-Wl,-rpath,${folder}`,
    ]);
  await mustRun(tools.xfgen, ['--shared', '--zero-new-fields', at('-1'), at('-2')]);
  const subject = startProgram(at('-1'), {});
  running.push(subject);
  const before = await subject.ask('look');
  const ran = await update(subject.pid, at('-2'), {});
  assert.equal(ran.status, 0, ran.output);
  return [before, await subject.ask('look')];
}

libraries('a malloc in a library is that of the whole process', async () => {
  assert.deepEqual(await run('allocator', allocator), [
    'version 1 nodes 1000 odd 0 library 1',
    'version 2 nodes 1000 odd 0 library 1',
  ]);
});

libraries('a library may have more thread-local storage than dlopen() finds room for', async () => {
  assert.deepEqual(await run('storage', storage), [
    'version 1 nodes 1000 odd 0 library 0',
    'version 2 nodes 1000 odd 0 library 0',
  ]);
});

libraries("what a library was given of the program is the running version's", async () => {
  assert.deepEqual(await run('back', back, own), [
    'version 1 nodes 1000 odd 0 library 2',
    'version 2 nodes 1000 odd 0 library 4',
  ]);
});

libraries.run();
