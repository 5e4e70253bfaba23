/** `kitsune-ktt`: looks into the type summaries of versions. */

import { Command, CommanderError } from 'commander';
import { dumpModel } from '../model/dump.js';
import type { Version } from '../model/model.js';
import { readVersion, writeKtt } from '../model/version.js';
import { diagnosticsOf, printDiagnostics, toolOutput, writeAll } from '../support/terminal.js';
import { emptyXfFile } from '../xf/syntax.js';
import { planUpdate } from '../xfgen/plan.js';
import { makeReport, reportText } from '../xfgen/report.js';

const name = 'kitsune-ktt';

/** The documented schema (docs/ktt.md): numbers beyond 2^53 are strings. */
function versionJson(v: Version): unknown {
  return {
    schema: 1,
    name: v.name,
    buildId: v.buildId ?? null,
    target: v.target,
    units: v.units,
    variables: v.variables,
    functions: v.functions,
    types: v.types,
    digests: v.digests,
  };
}

function json(value: unknown): string {
  return `${JSON.stringify(value, (_key, x: unknown) => (typeof x === 'bigint' ? (x >= -(2n ** 53n) && x <= 2n ** 53n ? Number(x) : String(x)) : x), 2)}\n`;
}

const program = new Command(name)
  .configureOutput(toolOutput)
  .description(
    `Shows, joins and compares type summaries: what kcc noted about a program's variables and types.

Files may be executables, shared objects, objects, archives or .ktt files.`,
  )
  .showHelpAfterError('(--help shows how it is used)')
  .exitOverride();

program
  .command('show')
  .description('print the variables, types and functions of each file')
  .argument('<file...>')
  .option('--json', 'as JSON (schema: docs/ktt.md); several files give an array')
  .action((files: string[], options: { json?: boolean }) => {
    const versions = files.map(readVersion);
    if (options.json === true) {
      const values = versions.map(versionJson);
      writeAll(1, json(values.length === 1 ? values[0] : values));
      return;
    }
    for (const v of versions) {
      const id = v.buildId === undefined ? '' : `, build-id ${v.buildId}`;
      const n = v.units.length;
      writeAll(1, `${v.name}: ${n} unit${n === 1 ? '' : 's'} for ${v.target}${id}\n${dumpModel(v)}`);
    }
  });

program
  .command('join')
  .description('join the summaries of several files into one .ktt file')
  .argument('<out>', 'the file to write')
  .argument('<in...>', 'files with summaries')
  .action(async (out: string, inputs: string[]) => {
    await writeKtt(out, inputs);
  });

program
  .command('diff')
  .description('print what changes between two versions, as kitsune-xfgen --report without rules')
  .argument('<old>')
  .argument('<new>')
  .option('--json', 'as JSON (schema: docs/ktt.md)')
  .action((old: string, next: string, options: { json?: boolean }) => {
    const report = makeReport(planUpdate(readVersion(old), readVersion(next), emptyXfFile));
    writeAll(
      1,
      options.json === true
        ? json(report)
        : reportText(report, process.stdout.isTTY === true && process.env.NO_COLOR === undefined),
    );
    process.exitCode = report.rows.every((r) => r.outcome === 'unchanged') ? 0 : 1;
  });

try {
  await program.parseAsync();
} catch (e) {
  process.exitCode = 2;
  if (!(e instanceof CommanderError)) printDiagnostics(name, diagnosticsOf(name, e));
  else if (e.exitCode === 0) process.exitCode = 0;
}
