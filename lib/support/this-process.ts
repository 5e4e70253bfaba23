/** The caller that is this process. */

import {
  appendFileSync,
  closeSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type { Caller, FileKind } from './caller.js';
import { onExit, piecesOf, run } from './processes.js';
import { writeAll } from './terminal.js';

function kindOf(path: string): FileKind {
  for (const look of [statSync, lstatSync]) {
    try {
      return look(path).isFile() ? 'file' : 'other';
    } catch {
      // Not there, or a link to what is not there.
    }
  }
  return 'none';
}

function readPart(path: string, offset: number, length: number): Buffer {
  // Whoever is at the other end of a pipe would notice.
  const file = statSync(path);
  if (!file.isFile()) throw new Error('it is not an ordinary file');
  const descriptor = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(Math.max(0, Math.min(length, file.size - offset)));
    let got = 0;
    while (got < buffer.length) {
      const n = readSync(descriptor, buffer, got, buffer.length - got, offset + got);
      if (n === 0) break;
      got += n;
    }
    return buffer.subarray(0, got);
  } finally {
    closeSync(descriptor);
  }
}

/** This process; its environment and directory are those of now. */
export function thisProcess(): Caller {
  let input: Buffer | undefined;
  return {
    environment: process.env,
    directory: process.cwd(),
    pid: process.pid,
    terminal: process.stderr.isTTY === true,
    run,
    become: async (command, args) => (await run(command, args)).status,
    kindOf: async (path) => kindOf(path),
    realPath: async (path) => realpathSync(path),
    read: async (path, offset, length) =>
      offset === undefined || length === undefined ? readFileSync(path) : readPart(path, offset, length),
    write: async (path, content) => writeFileSync(path, Buffer.concat(piecesOf(content))),
    patch: async (path, patches) => {
      const descriptor = openSync(path, 'r+');
      try {
        for (const { offset, bytes } of patches) writeSync(descriptor, bytes, 0, bytes.length, offset);
      } finally {
        closeSync(descriptor);
      }
    },
    move: async (from, to) => renameSync(from, to),
    remove: async (path) => {
      try {
        unlinkSync(path);
      } catch {
        // It was not written, or is in its place already.
      }
    },
    makePrivateDirectory: async (prefix) => mkdtempSync(prefix),
    removeAtExit: (path) => onExit(() => rmSync(path, { recursive: true, force: true })),
    standardInput: async () => {
      input ??= readFileSync(0);
      return input;
    },
    print: writeAll,
    append: (path, text) => {
      try {
        appendFileSync(path, text);
      } catch {
        // As promised.
      }
    },
  };
}
