/** `kitsune-xfgen`: transformers from one version of a program to the next. */

import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { readVersion } from '../model/version.js';
import { type Diagnostic, KitsuneError } from '../support/errors.js';
import { pendingOutput, reasonOf } from '../support/files.js';
import { colourWanted, diagnosticsOf, printDiagnostics, toolOutput, writeAll } from '../support/terminal.js';
import { thisProcess } from '../support/this-process.js';
import { cannotWrite, noBuildId, usageError } from '../support/transformer-errors.js';
import { findInstallation } from '../wrapper/installation.js';
import { loadXf } from '../xf/load.js';
import { emptyXfFile } from '../xf/syntax.js';
import { writeBuildFiles } from '../xfgen/dependencies.js';
import { generateC } from '../xfgen/generate.js';
import { buildLibrary, compileFlags, libraryPath } from '../xfgen/library.js';
import { type Plan, planUpdate } from '../xfgen/plan.js';
import { makeReport, problemText, reportText, skeletonText } from '../xfgen/report.js';
import { reportHtml } from '../xfgen/report-html.js';

const name = 'kitsune-xfgen';

enum Status {
  complete = 0,
  rulesMissing = 1,
  unusable = 2,
}

interface Options {
  output?: string;
  shared?: boolean;
  report?: boolean;
  reportFormat?: string;
  skeleton?: boolean;
  skeletonFile?: string;
  json?: boolean;
  zeroNewFields?: boolean;
  depfile?: string;
  deptarget?: string;
  stamp?: string;
  cflags?: boolean;
}

const program = new Command(name)
  .configureOutput(toolOutput)
  .description(
    `Writes the C code that turns the state of a running OLD version into that of NEW.

OLD and NEW are executables or shared objects built by kcc, objects, archives, or type
summaries (.ktt). RULES.xf says how state changes where that can't be told from the types;
every place that needs a rule is listed, with lines to paste.

The original's order is understood as well: ${name} out.c old.ktt new.ktt [rules.xf]`,
  )
  .argument('[OLD]', 'the version that runs')
  .argument('[NEW]', 'the version that it becomes')
  .argument('[RULES.xf]', 'rules in the xf language')
  .argument('[more]')
  .option(
    '-o, --output <file>',
    'where to write (default: standard output; with --shared: NEW.kitsune/OLD-BUILD-ID.so)',
  )
  .option(
    '--shared',
    'compile to the transformer library of this pair ($CC or cc; CFLAGS are used), where an update to NEW finds it by itself',
  )
  .option(
    '--report',
    'print what happens to each variable and type; --report=html: as an HTML page. Nothing is generated',
  )
  .addOption(new Option('--report-format <format>').hideHelp())
  .option(
    '--skeleton',
    'write an .xf file with the rules that are missing to standard output; --skeleton=FILE: to FILE',
  )
  .addOption(new Option('--skeleton-file <file>').hideHelp())
  .option('--zero-new-fields', 'new fields without a rule are zero (in variables: as initialised)')
  .option('--depfile <file>', 'with --shared: write what the library depends on, in the format of make')
  .option(
    '--deptarget <name>',
    'what the dependency file says is made (default: the stamp, else the library)',
  )
  .option(
    '--stamp <file>',
    'with --shared: write the path of the library there; the one that it named before is removed',
  )
  .option('--json', 'print the report as JSON')
  .option('--cflags', 'print the compiler flags for generated C, then stop')
  .addHelpText(
    'after',
    `
Examples:
  ${name} --report v1/server v2/server
  ${name} --shared v1/server v2/server server.xf   then: kitsune-doupd PID v2/server
  ${name} -o dsu.c v1.ktt v2.ktt server.xf && cc -c $(${name} --cflags) dsu.c

Exit status: 0 complete, 1 rules are missing (all are listed), 2 unusable input.`,
  )
  .showHelpAfterError('(--help shows how it is used)')
  .exitOverride();

async function writeOutput(path: string | undefined, text: string): Promise<void> {
  if (path === undefined || path === '-') {
    writeAll(1, text);
    return;
  }
  const caller = thisProcess();
  const pending = await pendingOutput(path, caller);
  try {
    await caller.write(pending.path, text);
    await pending.commit();
  } catch (e) {
    await pending.discard();
    throw e instanceof KitsuneError ? e : new KitsuneError(cannotWrite(path, reasonOf(e)));
  }
}

interface Inputs {
  readonly old: string;
  readonly new: string;
  readonly rules?: string;
  readonly output?: string;
}

/** Both orders of arguments. The original names its output first, which ends in `.c`. */
export function arrange(positional: readonly string[], output: string | undefined): Inputs {
  const args = positional.filter((p) => p !== undefined);
  const original =
    output === undefined && args.length >= 3 && (args.length === 4 || /\.c$/.test(args[0] ?? ''));
  const [first, ...others] = original ? args : [undefined, ...args];
  const [old, next, rules, extra] = others;
  if (old === undefined || next === undefined)
    throw new KitsuneError(usageError('two versions are needed: OLD and NEW'));
  if (extra !== undefined) throw new KitsuneError(usageError(`\`${extra}\` is one argument too many`));
  const target = output ?? first;
  return {
    old,
    new: next,
    ...(rules === undefined ? {} : { rules }),
    ...(target === undefined ? {} : { output: target }),
  };
}

function readBoth(inputs: Inputs): { plan: (zero: boolean) => Plan; rules: readonly string[] } {
  const errors: Diagnostic[] = [];
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (e) {
      if (!(e instanceof KitsuneError)) throw e;
      errors.push(...e.diagnostics);
      return undefined;
    }
  };
  const old = attempt(() => readVersion(inputs.old));
  const next = attempt(() => readVersion(inputs.new));
  const { rules } = inputs;
  const xf = rules === undefined ? { ...emptyXfFile, files: [] } : attempt(() => loadXf(rules));
  if (old === undefined || next === undefined || xf === undefined) throw new KitsuneError(errors);
  return {
    plan: (zero) => planUpdate(old, next, xf, { zeroNewFields: zero }),
    rules: xf.files,
  };
}

async function main(positional: readonly string[], options: Options): Promise<Status> {
  const { include } = findInstallation();
  if (options.cflags === true) {
    writeAll(1, `${compileFlags(include)}\n`);
    return Status.complete;
  }
  if (options.reportFormat !== undefined && options.reportFormat !== 'html')
    throw new KitsuneError(
      usageError(`--report takes \`=html\` or nothing, not \`${options.reportFormat}\``),
    );
  const inputs = arrange(positional, options.output);
  const read = readBoth(inputs);
  const plan = read.plan(options.zeroNewFields ?? false);
  printDiagnostics(name, plan.warnings);
  const status = plan.problems.length > 0 ? Status.rulesMissing : Status.complete;
  const skeleton = options.skeleton === true || options.skeletonFile !== undefined;
  const asked =
    options.report === true || options.reportFormat !== undefined || options.json === true || skeleton;
  if (options.json === true)
    await writeOutput(inputs.output, `${JSON.stringify(makeReport(plan), null, 2)}\n`);
  else if (options.reportFormat === 'html') await writeOutput(inputs.output, reportHtml(makeReport(plan)));
  else if (options.report === true)
    await writeOutput(
      inputs.output,
      reportText(makeReport(plan), process.stdout.isTTY === true && process.env.NO_COLOR === undefined),
    );
  if (skeleton && (plan.problems.length > 0 || options.skeletonFile !== undefined))
    await writeOutput(options.skeletonFile, skeletonText(plan));
  if (status !== Status.complete && !asked) {
    const color = colourWanted();
    for (const p of plan.problems) writeAll(2, `${problemText(p, color)}\n`);
    const n = plan.problems.length;
    writeAll(
      2,
      `${name}: ${n} rule${n === 1 ? ' is' : 's are'} missing; nothing was written (--skeleton writes an .xf file with ${n === 1 ? 'it' : 'them'})\n`,
    );
  }
  if (asked || status !== Status.complete) return status;
  if (options.shared === true) {
    const { buildId } = plan.old.version;
    const newId = plan.new.version.buildId;
    if (buildId === undefined) throw new KitsuneError(noBuildId(inputs.old, 'old'));
    if (newId === undefined) throw new KitsuneError(noBuildId(inputs.new, 'new'));
    const output = options.output ?? libraryPath(inputs.new, buildId);
    const source = generateC(plan, { fileName: 'transformers.c', oldBuildId: buildId, newBuildId: newId });
    const quoteFolders = [...new Set(read.rules.map((file) => dirname(file)))];
    const headers = await buildLibrary({ source, output, include, quoteFolders, environment: process.env });
    await writeBuildFiles(options, output, [inputs.old, inputs.new, ...read.rules, ...headers]);
    return status;
  }
  await writeOutput(inputs.output, generateC(plan, { fileName: inputs.output ?? 'transformers.c' }));
  return status;
}

/** The installed release, for `--version`. */
function release(): string {
  try {
    const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
    return String((JSON.parse(text) as { version?: unknown }).version ?? '');
  } catch {
    return '';
  }
}

try {
  program.version(release());
  // Values only after `=`: what follows `--report` is a version.
  program.parse(
    process.argv.map((a) =>
      a.replace(/^--report=/, '--report-format=').replace(/^--skeleton=/, '--skeleton-file='),
    ),
  );
  process.exitCode = await main(program.args, program.opts<Options>());
} catch (e) {
  process.exitCode = Status.unusable;
  if (!(e instanceof CommanderError)) printDiagnostics(name, diagnosticsOf(name, e));
  else if (e.exitCode === 0) process.exitCode = Status.complete;
}
