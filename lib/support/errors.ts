/** Every diagnostic of the TypeScript side: one function each, with a stable code, what happened, where, and what to do. */

export interface Location {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
}

export interface Diagnostic {
  readonly code: string;
  readonly severity: 'error' | 'warning' | 'notice';
  readonly message: string;
  readonly remedy?: string;
  readonly location?: Location;
}

/** Thrown by any layer; the command line prints its diagnostics and exits, no stack trace reaches the user. */
export class KitsuneError extends Error {
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: Diagnostic | readonly Diagnostic[]) {
    const list = Array.isArray(diagnostics)
      ? (diagnostics as readonly Diagnostic[])
      : [diagnostics as Diagnostic];
    super(list.map((d) => `${d.code}: ${d.message}`).join('\n'));
    this.name = 'KitsuneError';
    this.diagnostics = list;
  }
}

/** What an input says reaches a terminal as text, whatever it holds. */
const printableText = (text: string): string =>
  text.replace(/[^\P{Cc}\n\t]/gu, (c) => `\\x${(c.codePointAt(0) as number).toString(16).padStart(2, '0')}`);

/** `file:line:col: error KTnnnn: message` and, indented, the remedy. */
export function formatDiagnostic(d: Diagnostic, color = false): string {
  const place = d.location
    ? `${[d.location.file, d.location.line, d.location.column].filter((x) => x !== undefined).join(':')}: `
    : '';
  const paint = (code: string, text: string): string => (color ? `\u001b[${code}m${text}\u001b[0m` : text);
  const label = paint(
    d.severity === 'error' ? '1;31' : d.severity === 'warning' ? '1;35' : '1;36',
    d.severity,
  );
  const head = `${printableText(place)}${label} ${d.code}: ${printableText(d.message)}`;
  return d.remedy ? `${head}\n  ${printableText(d.remedy)}` : head;
}
