/**
 * Notes of locals: declarations with an initialiser that calls the runtime, so that they may stand wherever the
 * declaration they follow stands, in C89 as well. The entry note is undone by its cleanup, however the function is left.
 */
import { quote } from './registrations.js';

/** The first thing in a function that notes its locals. */
export function noteEntry(func: string): string {
  return `const char *__kt_entry __attribute__((__cleanup__(kt_note_exit), __unused__)) = kt_note_entry(${quote(func)});`;
}

/** Notes a formal or a local that is in scope. */
export function noteVariable(v: { readonly name: string; readonly scope: string }, n: number): string {
  const call = v.scope === 'formal' ? 'kt_note_formal' : 'kt_note_local';
  // By way of an integer: a cast that drops const or volatile would be warned about in the user's own line.
  return `int __kt_note${n} __attribute__((__unused__)) = ${call}(${quote(v.name)}, (void *)(unsigned long)&${v.name}, sizeof(${v.name}));`;
}

/** For units that note locals without including the runtime's header. */
export function noteDeclarations(): string {
  return [
    'const char *kt_note_entry(const char *func);',
    'void kt_note_exit(void *entry);',
    'int kt_note_local(const char *name, void *address, unsigned long size);',
    'int kt_note_formal(const char *name, void *address, unsigned long size);',
  ].join('\n');
}
