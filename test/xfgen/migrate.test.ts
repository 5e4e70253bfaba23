/** Generated transformers at work: compiled, linked with the engine, and checked by the new version's own code. */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadXf } from '../../lib/xf/load.js';
import type { XfFile } from '../../lib/xf/syntax.js';
import type { PlanOptions } from '../../lib/xfgen/plan.js';
import { testUnless } from '../skip.js';
import { migrate, scratch } from './run-pair.js';

const test = suite('migration by generated transformers');

const common = `#include <kitsune.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <stdint.h>
#include <limits.h>
`;

/** Why tests that include a header of another package can't run here, if they can't. */
function withoutHeader(header: string, debianPackage: string): string | undefined {
  const probe = spawnSync('cc', ['-E', '-'], {
    input: `#include <${header}>\n`,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  return probe.status === 0 ? undefined : `${header} is not installed (Debian: ${debianPackage})`;
}

function migrates(
  name: string,
  oldSource: string,
  newSource: string,
  rules: string | XfFile = '',
  options: PlanOptions & { copied?: readonly string[] } = {},
): void {
  const reason = oldSource.includes('<uthash.h>') ? withoutHeader('uthash.h', 'uthash-dev') : undefined;
  testUnless(test, reason, name, async () => {
    const r = await migrate(common + oldSource, common + newSource, rules, options);
    assert.is(r.status, 0, r.output);
  });
}

/** Rules as they stand in a file: `use` works. */
function rulesFile(text: string): XfFile {
  const file = join(scratch(), 'rules.xf');
  writeFileSync(file, text);
  return loadXf(file);
}

migrates(
  'generic lists find their elements by their arguments, and elements move while the lists stay',
  `
typedef struct lnode { struct lnode * E_G(@t) next; void * E_T(@t) value; } E_GENERIC(@t) lnode;
typedef struct list { lnode * E_G(@t) head; int len; } E_GENERIC(@t) list;
struct item { int a; };
struct other { int z; };
list * E_G(struct item) items; list E_G(struct other) others;
static void push(list *l, void *v) { lnode *n = malloc(sizeof *n); n->next = l->head; n->value = v; l->head = n; l->len++; }
void build(void) { items = calloc(1, sizeof *items); for (int i = 0; i < 5; i++) { struct item *x = malloc(sizeof *x); x->a = i; push(items, x); struct other *o = malloc(sizeof *o); o->z = i; push(&others, o); } }
`,
  `
typedef struct lnode { struct lnode * E_G(@t) next; void * E_T(@t) value; } E_GENERIC(@t) lnode;
typedef struct list { lnode * E_G(@t) head; int len; } E_GENERIC(@t) list;
struct item { char pad[40]; int b; int a; };
struct other { int z; };
list * E_G(struct item) items; list E_G(struct other) others;
int check(void) { int n = 0; for (lnode *p = items->head; p; p = p->next, n++) { struct item *x = p->value; if (x->b != 99 || x->a != 4 - n || x->pad[3] != 'p') return 10 + n; } if (n != 5) return 1; n = 0; for (lnode *p = others.head; p; p = p->next, n++) if (((struct other *)p->value)->z != 4 - n) return 20; return n != 5; }
`,
  `INIT struct item.b: {$out = 99;} INIT struct item.pad: { memset($out, 'p', sizeof $out); }`,
  { copied: ['others'] },
);
migrates(
  'an array ended by a zero element keeps its end zero',
  `
struct s { int a; };
struct s * E_SZ arr; char * E_SZ name; const char *lit = "literal";
void build(void) { arr = calloc(4, sizeof *arr); arr[0].a = 1; arr[1].a = 2; arr[2].a = 3; name = strdup("hi"); }
`,
  `
struct s { int b; int a; };
struct s * E_SZ arr; char * E_SZ name; const char *lit = "literal";
int check(void) { return !(arr[0].a == 1 && arr[2].a == 3 && arr[2].b == 5 && arr[3].a == 0 && arr[3].b == 0 && !strcmp(name, "hi")); }
`,
  `INIT struct s.b: {$out = 5;}`,
  { copied: ['name'] },
);
migrates(
  'a struct with a flexible array is rebuilt with its length',
  `
struct el { short x; };
struct msg { int n; struct msg *next; struct el data[] E_ARRAY(self.n); };
struct msg *msgs;
void build(void) { for (int i = 0; i < 6; i++) { struct msg *m = malloc(sizeof *m + i * 7 * sizeof(struct el)); m->n = i * 7; m->next = msgs; msgs = m; for (int k = 0; k < m->n; k++) m->data[k].x = k; } }
`,
  `
struct el { int x; };
struct msg { long id; int n; struct msg *next; struct el data[] E_ARRAY(self.n); };
struct msg *msgs;
int check(void) { int i = 5; for (struct msg *m = msgs; m; m = m->next, i--) { if (m->n != i * 7 || m->id != -1) return 1; for (int k = 0; k < m->n; k++) if (m->data[k].x != k) return 2; } return i != -1; }
`,
  `INIT struct msg.id: {$out = -1;}`,
);
migrates(
  'pointers to pointers whose inner length speaks of the struct are followed to the end',
  `
struct c { int v; };
struct m { int rows, cols; struct c * E_PTRARRAY(self.cols) * E_PTRARRAY(self.rows) cell; };
struct m m; struct m *pm;
void build(void) { m.rows = 3; m.cols = 4; m.cell = malloc(3 * sizeof(void *)); for (int i = 0; i < 3; i++) { m.cell[i] = malloc(4 * sizeof(struct c)); for (int j = 0; j < 4; j++) m.cell[i][j].v = i * 10 + j; } pm = malloc(sizeof *pm); *pm = m; pm->cell = malloc(24); for (int i = 0; i < 3; i++) pm->cell[i] = m.cell[2 - i]; }
`,
  `
struct c { int w, v; };
struct m { int rows, cols; struct c * E_PTRARRAY(self.cols) * E_PTRARRAY(self.rows) cell; };
struct m m; struct m *pm;
int check(void) { for (int i = 0; i < 3; i++) for (int j = 0; j < 4; j++) if (m.cell[i][j].v != i * 10 + j || m.cell[i][j].w) return 1; for (int i = 0; i < 3; i++) if (pm->cell[i] != m.cell[2-i]) return 2; return 0; }
`,
  '',
  { zeroNewFields: true },
);
migrates(
  'variables, types and fields that were renamed by rules keep their values',
  `
struct a { int x; struct a *n; }; struct a *head; int counter; static int hidden = 4; int *p = &counter;
void build(void) { head = malloc(sizeof *head); head->x = 3; head->n = head; counter = 8; }
`,
  `
struct b { struct b *next; int y; }; struct b *first; int total; int *p;
int check(void) { return !(first->y == 3 && first->next == first && total == 8 && p == &total); }
`,
  `struct a -> struct b  struct a.x -> struct b.y struct a.n -> struct b.next head -> first counter -> total`,
  { copied: ['p'] },
);
migrates(
  'variables become fields, fields become variables, nested fields move',
  `
int port = 80; int size; struct conf { int old; } conf; struct deep { struct { int a; } in; int b; } d;
void build(void) { port = 8080; size = 3; conf.old = 77; d.in.a = 5; d.b = 6; }
`,
  `
struct conf { long port; int size; } conf; int old; struct deep { int c; struct { int z; } in; } d;
int check(void) { return !(conf.port == 8080 && conf.size == 6 && old == 77 && d.c == 5 && d.in.z == 6); }
`,
  `port -> conf.port  size -> conf.size: { $out = $in * 2; } conf.old -> old  struct deep.in.a -> struct deep.c  struct deep.b -> struct deep.in.z`,
);
migrates(
  'pointers to fields that moved into or out of a nested struct follow them',
  `
struct deep { int x; struct { int k; int a; } in; int b; } d, *heap; int *to_a, *to_b, *heap_a, *heap_b;
void build(void) { d.in.a = 5; d.b = 6; heap = malloc(sizeof *heap); *heap = d; to_a = &d.in.a; to_b = &d.b; heap_a = &heap->in.a; heap_b = &heap->b; }
`,
  `
struct deep { int c; struct { int z; int k; } in; int x; } d, *heap; int *to_a, *to_b, *heap_a, *heap_b;
int check(void) { if (d.c != 5 || d.in.z != 6 || heap->c != 5 || heap->in.z != 6) return 1; if (to_a != &d.c || to_b != &d.in.z) return 2; return heap_a != &heap->c || heap_b != &heap->in.z; }
`,
  `struct deep.in.a -> struct deep.c  struct deep.b -> struct deep.in.z`,
  { copied: ['to_a', 'to_b', 'heap_a', 'heap_b'] },
);
migrates(
  'variables become fields of a variable that is new, nested ones too, pointers with them',
  `
struct item { int a; }; int port = 80; int size; struct item *items; static int hidden; struct net { int a; int b; } net; char *host = "none"; struct old_limits { int low; } limits;
void build(void) { port = 8080; size = 3; items = malloc(sizeof *items); items->a = 7; hidden = 1; net.a = 1; net.b = 2; host = "old"; limits.low = 4; }
`,
  `
struct item { int more; int a; }; struct net { long b; int a; int c; };
struct config { char name[8]; short on; int port; int size; struct item *items; struct { struct net net; unsigned flag : 3; char *host; } deep; } config = { "config", 1, 1, 1, 0, { { 1, 1, 1 }, 5, "new" } };
struct limits { int low, high; } bounds = { 1, 2 };
int check(void) { if (strcmp(config.name, "config") || config.on != 1) return 1; if (config.port != 8080 || config.size != 6) return 2;
  if (config.items->a != 7 || config.items->more != 9) return 3; if (config.deep.net.a != 1 || config.deep.net.b != 2 || config.deep.net.c != 8) return 4;
  return config.deep.flag != 5 || strcmp(config.deep.host, "old") || bounds.low != 4 || bounds.high != 2; }
`,
  `port -> config.port  size -> config.size: { $out = $in * 2; } items -> config.items  INIT struct item.more: { $out = 9; }
net -> config.deep.net  INIT struct net.c: { $out = 8; }  host -> config.deep.host  limits.low -> bounds.low`,
);
migrates(
  'a field with a rule of its own follows that, also in what the code of a less specific one makes',
  `
struct s { int a; int b; int c; struct s *next; int *in; }; struct s *head; int port, size; struct s one, two; struct owner { int x; int y; } *owner;
void build(void) { port = 8080; size = 3; head = calloc(1, sizeof *head); head->a = 1; head->b = 2; head->c = 3; head->next = head; head->in = &head->c; one = *head; two = *head; owner = calloc(1, sizeof *owner); owner->x = 5; owner->y = 6; }
`,
  `
struct sub { int k; int l; }; struct s { char pad[20]; int third; int b; int a; struct s *next; int *in; }; struct s *head; struct s one, two; struct config { int port; int size; int more; struct sub sub; } config = { 1, 1, 1, { 1, 1 } };
struct owner { struct { int x; int other; } sub; } *owner;
int check(void) { if (config.port != 8080 || config.size != 3 || config.more != 77 || config.sub.k != 8080 || config.sub.l != 77) return 1;
  if (head->a != 100 || head->b != 1002 || head->third != 3 || head->next != head || head->in != &head->third) return 2;
  if (one.a != 100 || one.b != 2002 || one.third != 3 || one.next != head) return 3; if (two.a != 55 || two.b != 3002 || two.third != 55) return 4;
  return owner->sub.x != 5 || owner->sub.other != 9; }
`,
  `INIT config: { $out.more = 77; $out.sub.l = 77; } port -> config.port  size -> config.size  port -> config.sub.k
struct s -> struct s: { $out.a = $out.b = $out.third = 100; XF_INVOKE(XF_PTR($xform(struct s, struct s)), &$in.next, &$out.next); $out.in = $in.in; }
struct s.c -> struct s.third  struct s.b -> struct s.b: { $out = $in + 1000; }
one.b -> one.b: { $out = $base.b + 2000; }
two -> two: { $out.a = $out.b = $out.third = 55; } two.b -> two.b: { $out = $in + 3000; }
INIT struct owner.sub: { $out.x = 1; $out.other = 9; } struct owner.x -> struct owner.sub.x`,
);
migrates(
  'a place in an object of which code keeps no field is told from the start of the new one',
  `
struct s { int a; int b; int c; }; struct s *obj; int *start; void *inside; struct s var; int *in_var;
void build(void) { obj = calloc(1, sizeof *obj); obj->b = 2; start = &obj->a; inside = &obj->b; in_var = &var.c; var.c = 33; }
`,
  `
struct s { int x; int y; long z; }; struct s *obj; int *start; void *inside; struct s var; int *in_var;
static int within(void *p, void *object, size_t size) { return (uintptr_t)p - (uintptr_t)object < size; }
int check(void) { if (obj->y != 2 || start != &obj->x) return 1; if (within(inside, obj, sizeof *obj) || *(int *)inside != 2) return 2; return within(in_var, &var, sizeof var) || *in_var != 33; }
`,
  `struct s -> struct s: { $out.y = $in.b; }`,
  { copied: ['start', 'inside', 'in_var'] },
);
migrates(
  'pointers into a flexible array follow its elements, in the padding at the end of the struct as well',
  `
struct e { int a, b; }; struct s { int n; struct e v[] E_ARRAY(self.n); } *h; struct text { long n; char c; char v[] E_ARRAY(self.n); } *t; int *in; void *E_OPAQUE element; char *first, *last;
void build(void) { h = malloc(sizeof *h + 50 * sizeof *h->v); h->n = 50; for (int i = 0; i < 50; i++) h->v[i].b = i; in = &h->v[30].b; element = &h->v[20];
  t = malloc(sizeof *t + 100); t->n = 100; memset(t->v, 'v', 100); first = t->v; last = &t->v[99]; }
`,
  `
struct e { int b; long pad; int a; }; struct s { char x; int n; struct e v[] E_ARRAY(self.n); } *h; struct text { long n, m; char c, d; char v[] E_ARRAY(self.n); } *t; int *in; void *E_OPAQUE element; char *first, *last;
int check(void) { for (int i = 0; i < 50; i++) if (h->v[i].b != i || h->v[i].pad != 7) return 1; if (in != &h->v[30].b || element != &h->v[20]) return 2; return first != t->v || last != &t->v[99] || *last != 'v'; }
`,
  `INIT struct e.pad: { $out = 7; } INIT struct s.x: { $out = 1; } INIT struct text.m: { $out = 1; } INIT struct text.d: { $out = 1; }`,
  { copied: ['in', 'element', 'first', 'last'] },
);
migrates(
  'code makes a flexible array of any length, alone or with its struct',
  `
struct s { int n; int v[] E_ARRAY(self.n); } *h; struct w { int n; int v[] E_ARRAY(self.n); } *g;
void build(void) { h = malloc(sizeof *h + 500 * sizeof *h->v); h->n = 500; for (int i = 0; i < 500; i++) h->v[i] = i; g = malloc(sizeof *g + 700 * sizeof *g->v); g->n = 700; for (int i = 0; i < 700; i++) g->v[i] = i; }
`,
  `
struct s { int n, more; long v[] E_ARRAY(self.n); } *h; struct w { int more, n; long v[] E_ARRAY(self.n); } *g;
int check(void) { for (int i = 0; i < 500; i++) if (h->v[i] != 2 * i) return 1; for (int i = 0; i < 700; i++) if (g->v[i] != 3 * i) return 2; return h->more != 1 || g->n != 700; }
`,
  `INIT struct s.more: { $out = 1; } struct s.v -> struct s.v: { for (int i = 0; i < $base.n; i++) $out[i] = 2 * $in[i]; }
struct w -> struct w: { $out.n = $in.n; for (int i = 0; i < $in.n; i++) $out.v[i] = 3 * $in.v[i]; }`,
);
migrates(
  'rule code transforms by $xform and $gen with the same identity of objects',
  `
struct item { int a; };
struct box { void * E_T(@t) it; int k; } E_GENERIC(@t);
struct box * E_G(struct item) boxes; struct item *one; struct item *tab[3];
void build(void) { boxes = malloc(sizeof *boxes); one = malloc(sizeof *one); one->a = 5; boxes->it = one; boxes->k = 1; for (int i = 0; i < 3; i++) tab[i] = one; }
`,
  `
struct item { int a; int b; };
struct box { void * E_T(@t) it; void * E_T(@t) again; int k; } E_GENERIC(@t);
struct box * E_G(struct item) boxes; struct item *one; struct item **list; int n;
int check(void) { if (boxes->it != one || boxes->again != one || one->a != 5 || one->b != 1) return 1; for (int i = 0; i < 3; i++) if (list[i] != one) return 2; return n != 3; }
`,
  `INIT struct box.again: { XF_INVOKE(XF_PTR($gen(@t)), &$base->it, &$out); }
INIT struct item.b: { $out = 1; }
tab -> list: { $out = malloc(3 * sizeof *$out); for (int i = 0; i < 3; i++) XF_INVOKE(XF_PTR($xform(struct item, struct item)), &$in[i], &$out[i]); }
INIT n: { $out = 3; }`,
);
migrates(
  'code that transforms a type asks for the closure of that same type, so that lists and trees follow',
  `
struct s { int k; int a; struct s *next; struct t *tree; }; struct t { struct t *left, *right; struct s *owner; int k; }; struct s *head; int *inside; 
void build(void) { head = calloc(1, sizeof *head); head->next = calloc(1, sizeof *head); head->next->next = head; head->next->a = 4; head->tree = calloc(1, sizeof(struct t));
  head->tree->k = 7; head->tree->owner = head->next; head->tree->left = head->tree; inside = &head->next->a; }
`,
  `
struct s { long b; struct s *next; struct t *tree; int a; }; struct t { int k; struct t *left, *right; struct s *owner; }; struct s *head; int *inside; 
int check(void) { struct s *n = head->next; struct t *t = head->tree; if (n->next != head || n->a != 4 || n->b != 40) return 1; if (inside != &n->a) return 2; return t->k != 7 || t->owner != n || t->left != t; }
`,
  `struct s -> struct s: { $out.a = $in.a; $out.b = 10 * $in.a; XF_INVOKE(XF_PTR($xform(struct s, struct s)), &$in.next, &$out.next);
  XF_INVOKE(XF_PTR($xform(struct t, struct t)), &$in.tree, &$out.tree); }
struct t -> struct t: { $out.k = $in.k; XF_INVOKE(XF_PTR($xform(struct t, struct t)), &$in.left, &$out.left); XF_INVOKE(XF_PTR($xform(struct s, struct s)), &$in.owner, &$out.owner); }`,
  { copied: ['inside'] },
);
migrates(
  'code for a typedef of a pointer sees that typedef in arrays behind pointers too',
  `
typedef char *text; text *E_PTRARRAY(2) words; void build(void) { words = calloc(2, sizeof *words); words[1] = strdup("word"); }
`,
  `
typedef char *text; text *E_PTRARRAY(2) words; int check(void) { return words[0] != NULL || strcmp(words[1], "ord"); }
`,
  `typedef text -> typedef text: { $out = $in ? strdup($in + 1) : NULL; }`,
);
migrates(
  'arithmetic types that grew keep every value',
  `
struct w { unsigned char uc; signed char sc; char c; short s; unsigned short us; int i; unsigned u; float f; _Bool b; enum { A, B } e; unsigned bf : 4; int sb : 3; int arr[3]; } w; struct w *pw;
void build(void) { w = (struct w){200, -5, 'x', -300, 60000, -70000, 4000000000u, 1.5f, 1, B, 13, -3, {1,2,3}}; pw = malloc(sizeof w); *pw = w; }
`,
  `
struct w { int uc; long sc; int c; long s; int us; double i; unsigned long u; double f; int b; int e; unsigned bf : 9; long sb : 30; long arr[5]; } w; struct w *pw;
static int ok(struct w *w) { return w->uc == 200 && w->sc == -5 && w->c == 'x' && w->s == -300 && w->us == 60000 && w->i == -70000 && w->u == 4000000000u && w->f == 1.5 && w->b == 1 && w->e == 1 && w->bf == 13 && w->sb == -3 && w->arr[0] == 1 && w->arr[2] == 3 && w->arr[4] == 0; }
int check(void) { return !(ok(&w) && ok(pw)); }
`,
);
migrates(
  'objects of a custom allocator come from the new one and go back to the old one',
  `
struct n { int a; }; struct n * E_CUSTOM(my_alloc, my_free) n;
int freed; void *my_alloc(size_t s) { char *p = malloc(s + 16); return p + 16; } void my_free(void *p) { freed++; free((char *)p - 16); }
void build(void) { n = my_alloc(sizeof *n); n->a = 4; }
`,
  `
struct n { int a, b; }; struct n * E_CUSTOM(my_alloc, my_free) n; int allocated;
void *my_alloc(size_t s) { allocated++; char *p = malloc(s + 16); return p + 16; } void my_free(void *p) { free((char *)p - 16); }
int check(void) { int ok = n->a == 4 && allocated == 1; my_free(n); return !ok; }
`,
  '',
  { zeroNewFields: true },
);
migrates(
  'objects in the pages of a pool whose chunks grow with them get places that the rules compute',
  `
struct it { struct it *next; short n; char data[]; };
char *page; size_t chunk; struct it *head, *idle; int released;
static struct it *at(int i) { return (struct it *)(page + i * chunk); }
void build(void) { chunk = sizeof(struct it) + 24; page = calloc(10, chunk);
  for (int i = 0; i < 5; i++) { at(i)->n = 3 + i; memset(at(i)->data, 'a' + i, 3 + i); at(i)->next = head; head = at(i); }
  for (int i = 5; i < 10; i++) { at(i)->next = idle; idle = at(i); } }
`,
  `
struct it { struct it *next; short n; long gets; char data[]; };
char *page; size_t chunk; struct it *head, *idle; int released;
static struct it *at(int i) { return (struct it *)(page + i * chunk); }
int check(void) { struct it *x = head; if (chunk != sizeof(struct it) + 24) return 1;
  for (int i = 4; i >= 0; i--, x = x->next) { if (x != at(i) || x->n != 3 + i || x->gets != 0) return 2; for (int k = 0; k < 3 + i; k++) if (x->data[k] != 'a' + i) return 3; }
  if (x) return 4; x = idle; for (int i = 9; i >= 5; i--, x = x->next) if (x != at(i)) return 5; return x != NULL || released != 0; }
`,
  `{
static char *old_page, *new_page; static size_t old_chunk, new_chunk;
static void *new_place(size_t size) {
  if (size > new_chunk) return NULL;
  return new_page + ((const char *)transform_moving() - old_page) / old_chunk * new_chunk;
}
}
annotate struct it: E_CUSTOM(new_place, 0)
annotate struct it.data: E_ARRAY(self.n)
annotate struct it: E_OPAQUE
INIT struct it.gets: { $out = 0; }
page -> page: {
  old_page = $in; old_chunk = $oldsym(chunk); new_chunk = old_chunk + sizeof($newtype(struct it)) - sizeof($oldtype(struct it));
  $out = new_page = calloc(10, new_chunk);
  for (int i = 0; i < 10; i++) { void *object = $in + i * old_chunk, *moved; XF_INVOKE(XF_PTR($xform(struct it, struct it)), &object, &moved); }
}
chunk -> chunk: { $out = $in + sizeof($newtype(struct it)) - sizeof($oldtype(struct it)); }`,
  { copied: ['head', 'idle'] },
);
migrates(
  'packed, aligned and #pragma pack structs get the layout that the compiler recorded',
  `
struct __attribute__((packed)) p { char a; int b; short c; }; struct al { char a; int b __attribute__((aligned(16))); }; 
#pragma pack(push, 2)
struct pk { char a; int b; long c; };
#pragma pack(pop)
struct p p; struct al al; struct pk pk; struct p *pp;
void build(void) { p = (struct p){1, 2, 3}; al.b = 4; pk = (struct pk){5, 6, 7}; pp = malloc(sizeof p); *pp = p; }
`,
  `
struct __attribute__((packed)) p { char a; char z; int b; short c; }; struct al { char a; char y; int b __attribute__((aligned(16))); int d; }; 
#pragma pack(push, 2)
struct pk { char a; int b; char x; long c; };
#pragma pack(pop)
struct p p; struct al al; struct pk pk; struct p *pp;
int check(void) { return !(p.a == 1 && p.b == 2 && p.c == 3 && al.b == 4 && pk.a == 5 && pk.b == 6 && pk.c == 7 && pp->b == 2 && pp->c == 3); }
`,
  '',
  { zeroNewFields: true },
);
migrates(
  'pointers into static pools and into objects inside objects follow',
  `
struct e { struct e *next; int v; }; struct e pool[300]; struct e *head; int *into; struct h { long first; struct e emb; int q; } *h; struct e *toemb;
void build(void) { for (int i = 0; i < 299; i++) { pool[i].next = &pool[i+1]; pool[i].v = i; } head = &pool[1]; into = &pool[200].v; h = calloc(1, sizeof *h); h->emb.v = 5; h->q = 6; toemb = &h->emb; }
`,
  `
struct e { int w; struct e *next; int v; }; struct e pool[400]; struct e *head; int *into; struct h { int z; struct e emb; int q; } *h; struct e *toemb;
int check(void) { for (int i = 0; i < 299; i++) if (pool[i].next != &pool[i+1] || pool[i].v != i) return 1; if (toemb != &h->emb) return 5; return !(head == &pool[1] && into == &pool[200].v && h->emb.v == 5 && h->q == 6); }
`,
  '',
  { zeroNewFields: true, copied: ['into'] },
);
migrates(
  'unions are copied as bits or transformed by a rule that sees the struct around them',
  `
struct n { int v; }; struct val { int tag; union { struct n *p; long i; } u; }; struct val *vals[2]; union raw { int i; float f; }; struct r { union raw x; int k; } *r;
void build(void) { for (int i = 0; i < 2; i++) { vals[i] = calloc(1, sizeof(struct val)); vals[i]->tag = i; if (i) { vals[i]->u.p = malloc(4); vals[i]->u.p->v = 9; } else vals[i]->u.i = 55; } r = calloc(1, sizeof *r); r->x.f = 2.5f; r->k = 3; }
`,
  `
struct n { int w, v; }; struct val { int tag; union { struct n *p; long i; } u; }; struct val *vals[2]; union raw { int i; float f; double d; }; struct r { int k; union raw x; } *r;
int check(void) { return !(vals[0]->u.i == 55 && vals[1]->u.p->v == 9 && vals[1]->u.p->w == 2 && r->x.f == 2.5f && r->k == 3); }
`,
  `struct val.u -> struct val.u: { if ($base.tag) XF_INVOKE(XF_PTR($xform(struct n, struct n)), &$in.p, &$out.p); else $out.i = $in.i; }
INIT struct n.w: { $out = 2; }`,
);
migrates(
  'lengths may be constants of enumerations that no object has the type of',
  `
enum { N = 3, REST = N + 1, NEGATIVE = -5 }; enum { ALL = sizeof(long) };
struct e { int v; }; struct h { struct e * E_PTRARRAY(REST + NEGATIVE + 4) first; struct e * E_PTRARRAY(ALL) all; } h;
void build(void) { h.first = calloc(3, sizeof(struct e)); h.all = calloc(8, sizeof(struct e)); for (int i = 0; i < 8; i++) { h.all[i].v = i; if (i < 3) h.first[i].v = i; } }
`,
  `
enum { N = 3, REST = N + 1, NEGATIVE = -5 }; enum { ALL = sizeof(long) };
struct e { int w; int v; }; struct h { struct e * E_PTRARRAY(REST + NEGATIVE + 4) first; struct e * E_PTRARRAY(ALL) all; } h;
int check(void) { for (int i = 0; i < 8; i++) if (h.all[i].v != i || h.all[i].w != 6 || (i < 3 && (h.first[i].v != i || h.first[i].w != 6))) return 1; return 0; }
`,
  'INIT struct e.w: { $out = 6; }',
);
migrates(
  'cycles and shared objects stay what they were',
  `
struct a; struct b { struct a *back; int k; }; struct a { struct b *b; struct b *b2; int x; }; struct a *root; struct b *other;
void build(void) { root = calloc(1, sizeof *root); root->b = root->b2 = calloc(1, sizeof(struct b)); root->b->back = root; root->x = 4; other = root->b; other->k = 1; }
`,
  `
struct a; struct b { struct a *back; int k; }; struct a { struct b *b; int z; struct b *b2; int x; }; struct a *root; struct b *other;
int check(void) { return !(root->b == other && root->b2 == other && other->back == root && root->x == 4 && other->k == 1); }
`,
  '',
  { zeroNewFields: true },
);
migrates(
  'rules for typedefs of scalars and renamed enumerators apply',
  `
typedef int id_t2; enum e { LOW, HIGH }; struct s { id_t2 id; enum e e; } s; id_t2 g;
void build(void) { s.id = 3; s.e = HIGH; g = 4; }
`,
  `
typedef char *id_t2; enum e { TOP = 5, LOW = 9 }; struct s { id_t2 id; enum e e; } s; id_t2 g;
int check(void) { return !(!strcmp(s.id, "id3") && s.e == TOP && !strcmp(g, "id4")); }
`,
  `{ #include <stdio.h>
#define _X 1
} typedef id_t2 -> typedef id_t2: { char b[20]; snprintf(b, sizeof b, "id%d", $in); $out = strdup(b); } enum e.HIGH -> enum e.TOP`,
);
migrates(
  '64-bit unsigned enumerators keep their identity',
  `enum big { X = 1, Y = 0xffffffffffffffffu }; enum big b = Y; struct q { enum big b; int a[2]; } q;
void build(void) { q.b = Y; }`,
  `enum big { X = 1, Z = 2, Y = 0xfffffffffffffff0u }; enum big b; struct q { enum big b; int a[4]; } q;
int check(void) { return !(b == Y && q.b == Y); }`,
);
migrates(
  'the most specific rule for a field wins',
  `struct s { int a, b; }; struct s x, y; struct in { struct s s; } w;
void build(void) { x.a = 1; y.a = 2; w.s.a = 3; }`,
  `struct s { int a, b, c; }; struct s x, y; struct in { struct s s; } w;
int check(void) { return !(x.a == 1 && x.c == 100 && y.c == 200 && w.s.c == 300 && w.s.a == 3); }`,
  `INIT x.c: { $out = 100; } INIT struct s.c: { $out = 200; } INIT w.s.c: { $out = $base.a * 100; }`,
);
migrates(
  'function pointers lead to the new functions',
  `
typedef int (*fn)(int); int f(int x) { return x; } static int g(int x) { return x + 1; } fn table[2]; struct s { fn cb; int k; } *s;
int g2(int x) { return g(x); }
void build(void) { table[0] = f; table[1] = g2; s = malloc(sizeof *s); s->cb = f; s->k = 1; }
`,
  `
typedef int (*fn)(int); int f(int x) { return x * 100; } int g2(int x) { return x * 1000; } fn table[3]; struct s { int k; fn cb; } *s;
int check(void) { return !(table[0](1) == 100 && table[1](1) == 1000 && s->cb(2) == 200 && s->k == 1); }
`,
);

const hash = (fields: string, body: string) => `#include <uthash.h>
struct user { ${fields} }; struct user *users; struct user *last; struct holder { struct user *byname; int n; } *holder;
${body}`;
migrates(
  'uthash tables work on after their elements changed',
  hash(
    'int id; char name[10]; UT_hash_handle hh; UT_hash_handle hh2;',
    `
void build(void) { holder = calloc(1, sizeof *holder); for (int i = 0; i < 500; i++) { struct user *u = calloc(1, sizeof *u); u->id = i; sprintf(u->name, "n%d", i); HASH_ADD_INT(users, id, u); HASH_ADD(hh2, holder->byname, name, strlen(u->name), u); last = u; } }
`,
  ),
  hash(
    'long pre; int id; char name[10]; int age; UT_hash_handle hh; UT_hash_handle hh2;',
    `
int check(void) { int n = 0; struct user *u, *tmp; for (int i = 0; i < 500; i++) { HASH_FIND_INT(users, &i, u); if (!u || u->id != i || u->age != 7 || u->pre != 8) return 1; char b[10]; sprintf(b, "n%d", i); struct user *v; HASH_FIND(hh2, holder->byname, b, strlen(b), v); if (v != u) return 2; }
 for (int i = 500; i < 3000; i++) { u = calloc(1, sizeof *u); u->id = i; sprintf(u->name, "n%d", i); HASH_ADD_INT(users, id, u); HASH_ADD(hh2, holder->byname, name, strlen(u->name), u); }
 if (HASH_COUNT(users) != 3000) return 3;
 HASH_ITER(hh, users, u, tmp) { if (u->id != n) return 4; n++; if (u->id % 2) { HASH_DEL(users, u); HASH_DELETE(hh2, holder->byname, u); free(u); } }
 n = 0; HASH_ITER(hh2, holder->byname, u, tmp) n++; if (n != 1500) return 5;
 HASH_CLEAR(hh2, holder->byname); HASH_ITER(hh, users, u, tmp) { HASH_DEL(users, u); free(u); } return users != NULL; }
`,
  ),
  rulesFile('use "uthash"\nINIT struct user.age: { $out = 7; }\nINIT struct user.pre: { $out = 8; }\n'),
  { copied: ['last'] },
);
migrates(
  'elements of a uthash table that stay where they are are found',
  hash(
    'int id; char name[10]; struct user *extra; struct x *x; UT_hash_handle hh; UT_hash_handle hh2;',
    `struct x { int a; };
void build(void) { for (int i = 0; i < 50; i++) { struct user *u = calloc(1, sizeof *u); u->id = i; u->x = calloc(1, 4); u->x->a = i; HASH_ADD_INT(users, id, u); } }
`,
  ),
  hash(
    'int id; char name[10]; struct user *extra; struct x *x; UT_hash_handle hh; UT_hash_handle hh2;',
    `struct x { int b, a; };
int check(void) { struct user *u; for (int i = 0; i < 50; i++) { HASH_FIND_INT(users, &i, u); if (!u || u->x->a != i || u->x->b) return 1; } return 0; }
`,
  ),
  rulesFile('use "uthash"\n'),
  { zeroNewFields: true },
);

test.run();
