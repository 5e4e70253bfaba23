/**
 * Precompiled headers. What is in one only the compiler can read, and gcc takes one also where the header itself is not to be found:
 * so kcc keeps the header's text behind what gcc wrote, which does not look there.
 */

import { deflateSync, inflateSync } from 'node:zlib';
import type { Caller } from '../support/caller.js';
import { type CompilerContext, runCompiler } from './compiler.js';
import type { PrecompileStep } from './steps.js';

const mark = '\nkitsune-header-text ';

/** Runs the step. Returns the exit status. */
export async function precompile(step: PrecompileStep, context: CompilerContext): Promise<number> {
  const { status } = await runCompiler(context, step.words);
  const { kept } = step;
  if (status !== 0 || !kept || (await context.caller.kindOf(kept.output)) !== 'file') return status;
  const text = await runCompiler(context, kept.textWords, { stdout: 'pipe', stderr: 'ignore' });
  if (text.status === 0)
    context.caller.append(kept.output, mark + deflateSync(text.stdout).toString('base64'));
  return status;
}

async function keptText(path: string, caller: Caller): Promise<Buffer | undefined> {
  const bytes = await caller.read(path);
  const at = bytes.lastIndexOf(mark);
  if (at < 0) return undefined;
  try {
    return inflateSync(Buffer.from(bytes.toString('latin1', at + mark.length), 'base64'));
  } catch {
    return undefined;
  }
}

/** Makes gcc's preprocessor read precompiled headers, and write a line where it does. */
export const withPrecompiled = '-fpch-preprocess';

/** Such text with the header's text in it; undefined if that was not kept. */
export async function fillInPrecompiled(text: Buffer, caller: Caller): Promise<Buffer | undefined> {
  const characters = text.toString('latin1');
  const line = /^#pragma GCC pch_preprocess "(.*)"$/m.exec(characters);
  if (!line) return undefined;
  const path = Buffer.from(line[1]!.replace(/\\(.)/g, '$1'), 'latin1').toString();
  const header = await keptText(path, caller);
  if (!header) return undefined;
  // The line after it is the next one of the file that the last marker before it names.
  const before = characters.slice(0, line.index);
  const place = [...before.matchAll(/^# (\d+) ("(?:[^"\\\n]|\\.)*").*\n/gm)].at(-1);
  if (!place) return undefined;
  const lines = before.slice(place.index + place[0].length).split('\n').length;
  const after = `# ${Number(place[1]) + lines} ${place[2]}`;
  return Buffer.concat([
    Buffer.from(before, 'latin1'),
    header,
    Buffer.from(after + characters.slice(line.index + line[0].length), 'latin1'),
  ]);
}

/** Whether the preprocessor, which read the text of the first header, passed by one that is precompiled. */
export async function hasPrecompiledBeside(text: string, caller: Caller): Promise<boolean> {
  for (const [, name] of text.matchAll(/^# 1 "((?:[^"\\\n]|\\.)*)" 1/gm)) {
    // gcc includes this one by itself.
    if (name!.endsWith('/stdc-predef.h')) continue;
    return (await caller.kindOf(`${name!.replace(/\\(.)/g, '$1')}.gch`)) !== 'none';
  }
  return false;
}
