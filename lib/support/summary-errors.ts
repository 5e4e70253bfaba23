/** Diagnostics about type summaries and the files that hold them: KT2xxx. All of them name the file. */
import { type Diagnostic, KitsuneError } from './errors.js';

function failure(code: string, message: string, remedy: string): KitsuneError {
  const diagnostic: Diagnostic = { code, severity: 'error', message, remedy };
  return new KitsuneError(diagnostic);
}

export function unreadableFile(name: string, why: string): KitsuneError {
  return failure('KT2001', `${name} can't be read: ${why}`, 'Check the path and its permissions.');
}

export function notASummaryFile(name: string, what: string): KitsuneError {
  return failure(
    'KT2002',
    `${name} is ${what}, not an object, archive, library, executable or .ktt file`,
    'Give a file that kcc or kitsune-ktt wrote.',
  );
}

export function noSummary(name: string): KitsuneError {
  return failure(
    'KT2003',
    `${name} holds no type summary: it was not compiled by kcc`,
    'Build it with CC=kcc. With -flto the summary is in the linked file, not in the objects.',
  );
}

export function truncatedFile(name: string, what: string): KitsuneError {
  return failure(
    'KT2004',
    `${name} is truncated: ${what}`,
    'Build it again; the file was cut off when it was written or copied.',
  );
}

export function corruptSummary(name: string, what: string): KitsuneError {
  return failure('KT2005', `the type summary of ${name} is corrupt: ${what}`, 'Build the file again.');
}

export function foreignSummary(name: string, format: number, known: number): KitsuneError {
  return failure(
    'KT2006',
    `the type summary of ${name} has format ${format}, this version of Kitsune reads format ${known}`,
    'Build the file again with the same version of Kitsune that reads it.',
  );
}

export function targetsDiffer(name: string, first: string, second: string): KitsuneError {
  return failure(
    'KT2007',
    `${name} joins code for ${first} and for ${second}`,
    'Build all parts of a version for one target.',
  );
}

export function unsupportedElf(name: string, what: string): KitsuneError {
  return failure('KT2008', `${name} is ${what}`, 'Kitsune updates 64-bit little-endian ELF programs.');
}

export function corruptFile(name: string, what: string): KitsuneError {
  return failure('KT2009', `${name} is damaged: ${what}`, 'Build or copy the file again.');
}

export function nothingToJoin(name: string): KitsuneError {
  return failure('KT2010', `nothing to join into ${name}`, 'Give at least one file with a type summary.');
}

export const toolFailed = (command: string, message: string): Diagnostic => ({
  code: 'KT2011',
  severity: 'error',
  message: `${command} could not go on: ${message}`,
  remedy: 'Please report this with the files that it was given.',
});
