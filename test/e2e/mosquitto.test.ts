/**
 * The broker of examples/mosquitto is updated through all its versions, back and forth, while two hundred clients use it.
 *
 * Needs the distribution's source package; without it the tests are skipped and say why. KITSUNE_EXAMPLES_DIR moves the place
 * where the versions are built (a second run builds nothing).
 */
import { strict as assert } from 'node:assert';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import mqtt, { type MqttClient } from 'mqtt';
import { suite } from 'uvu';
import { sendHugePromise } from '../../examples/mosquitto/attack.js';
import {
  type Broker,
  type Certificates,
  type Footprint,
  startBroker,
} from '../../examples/mosquitto/broker.js';
import { eventually, type Sessions, startSessions } from '../../examples/mosquitto/sessions.js';
import { startTraffic, type Traffic } from '../../examples/mosquitto/traffic.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const built = join(process.env.KITSUNE_EXAMPLES_DIR ?? join(root, 'build/examples'), 'mosquitto');
const doupd = join(root, 'bin/kitsune-doupd');

/** Six updates in a row, one back, one forth again. */
const versions = [
  '1-upstream',
  '2-connect',
  '3-subscriptions',
  '4-deb12u1',
  '5-trees',
  '6-deb12u2',
  '7-ours',
];
const steps = [...versions.slice(1), '6-deb12u2', '7-ours'];

interface Step {
  readonly version: string;
  readonly status: number;
  readonly output: string;
  readonly problems: readonly string[];
  readonly longestMs: number;
  readonly footprint: Footprint;
  readonly attack: Awaited<ReturnType<typeof sendHugePromise>>;
  /** $SYS/broker/clients/busiest and $SYS/broker/store/messages/oldest, a moment after the update. */
  readonly busiest: string | undefined;
  readonly oldest: string | undefined;
}

const executable = (version: string): string => join(built, version, 'src/mosquitto');

function makeCertificates(folder: string): Certificates | undefined {
  const key = join(folder, 'key.pem');
  const certificate = join(folder, 'certificate.pem');
  const args =
    'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1';
  const result = spawnSync('openssl', [...args.split(' '), '-keyout', key, '-out', certificate], {
    stdio: 'ignore',
  });
  return result.status === 0 ? { authority: certificate, certificate, key } : undefined;
}

interface Run {
  broker: Broker;
  traffic: Traffic;
  sessions: Sessions;
  encrypted: MqttClient | undefined;
  start: Footprint;
  steps: Step[];
}

const test = suite('a Mosquitto broker that is updated under load');
const folder = mkdtempSync(join(tmpdir(), 'kitsune-mosquitto-'));
let run: Run | undefined;

/** Builds what is missing. The reason if the source can't be had. */
function build(): string | undefined {
  const result = spawnSync(join(root, 'examples/mosquitto/build.sh'), [built], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (result.status === 75) return result.stderr.trimEnd().split('\n').at(-1);
  assert.equal(result.status, 0, `the versions could not be built:\n${result.stdout}${result.stderr}`);
  return undefined;
}

async function updateTo(version: string, current: Omit<Run, 'steps'>): Promise<Step> {
  const { broker, sessions, traffic, encrypted } = current;
  await sessions.publish();
  await sessions.prepare();
  traffic.longestAcknowledgement();
  const outcome = await broker.update(executable(version));
  await sleep(300);
  const longestMs = traffic.longestAcknowledgement();
  const problems = await sessions.verify();
  if (encrypted !== undefined) {
    await encrypted.publishAsync('encrypted/echo', version, { qos: 2 });
    if (!(await eventually(() => echoes.at(-1) === version)))
      problems.push('the encrypted connection is silent');
  }
  await sleep(2200); // two rounds of the broker's statistics
  return {
    version,
    status: outcome.status,
    output: outcome.output,
    problems,
    longestMs,
    footprint: broker.footprint(),
    attack: await sendHugePromise(broker.port, broker.pid),
    busiest: sessions.statistic('clients/busiest'),
    oldest: sessions.statistic('store/messages/oldest'),
  };
}

const echoes: string[] = [];

async function connectEncrypted(
  broker: Broker,
  certificates: Certificates | undefined,
): Promise<MqttClient | undefined> {
  if (certificates === undefined || broker.tlsPort === undefined) return undefined;
  const ca = execFileSync('cat', [certificates.authority]);
  const client = await mqtt.connectAsync({
    protocol: 'mqtts',
    host: '127.0.0.1',
    port: broker.tlsPort,
    ca,
    clientId: 'encrypted',
    reconnectPeriod: 0,
  });
  client.on('message', (_topic, payload) => echoes.push(payload.toString()));
  await client.subscribeAsync('encrypted/#', { qos: 2 });
  return client;
}

test('is built in all its versions and driven through them', async () => {
  const reason = build();
  if (reason !== undefined) {
    console.log(`SKIP mosquitto: ${reason}`);
    return;
  }
  const certificates = makeCertificates(folder);
  const broker = await startBroker(executable(versions[0]!), folder, doupd, certificates);
  const sessions = await startSessions(broker.port);
  const traffic = await startTraffic(broker.port);
  const encrypted = await connectEncrypted(broker, certificates);
  await sleep(3000);
  const current = { broker, sessions, traffic, encrypted, start: broker.footprint() };
  run = { ...current, steps: [] };
  for (const version of process.env.KITSUNE_MOSQUITTO_STEPS?.split(' ') ?? steps) {
    const step = await updateTo(version, current);
    run.steps.push(step);
    if (process.env.KITSUNE_VERBOSE !== undefined) console.log(JSON.stringify(step));
    if (!broker.alive()) break;
  }
});

test.after(async () => {
  if (run !== undefined) {
    await run.encrypted?.endAsync(true);
    await run.traffic.close();
    await run.sessions.close();
    await run.broker.stop();
  }
  rmSync(folder, { recursive: true, force: true });
});

/** A test that is passed over when there is nothing to test. */
function check(name: string, body: (run: Run) => Promise<void> | void): void {
  test(name, async () => {
    if (run !== undefined) await body(run);
  });
}

check('commits every update', ({ steps: taken, broker }) => {
  for (const step of taken) assert.equal(step.status, 0, `${step.version}: ${step.output}\n${broker.log()}`);
  assert.ok(broker.alive(), broker.log());
});

check('keeps retained messages, wills and subscriptions through every update', ({ steps: taken }) => {
  for (const step of taken) assert.deepEqual(step.problems, [], step.version);
});

check(
  'shows the new field of the client after the update that adds it',
  async ({ traffic, sessions, steps: taken }) => {
    const added = taken.filter((step) => step.version === '7-ours');
    if (added.length === 0) return;
    for (const step of added) assert.match(step.busiest ?? 'nothing', /^[1-9]\d* [\w-]+$/);
    // One client now publishes more than all others: its own count must show.
    const talker = traffic.clients[17]!;
    for (let i = 0; i < 500; i++) await talker.publishAsync('talk', 'x', { qos: 1 });
    const shown = (): RegExpExecArray | null =>
      /^(\d+) client-017$/.exec(sessions.statistic('clients/busiest') ?? '');
    await eventually(() => Number(shown()?.[1] ?? 0) >= 500, 5000);
    const count = Number(shown()?.[1] ?? 0);
    assert.ok(count >= 500 && count < 700, `${sessions.statistic('clients/busiest')}`);
  },
);

check(
  'shows the new field of the messages after the update that adds it',
  async ({ sessions, steps: taken }) => {
    if (!taken.some((step) => step.version === '7-ours')) return;
    const before = Number(sessions.statistic('store/messages/oldest'));
    await sleep(3000);
    const after = Number(sessions.statistic('store/messages/oldest'));
    // What was stored before the update counts from the update on; nothing is older than this run.
    assert.ok(before >= 1 && after > before && after < 600, `${before} s, then ${after} s`);
  },
);

check('delivers to absent clients what was sent while they were away', async ({ sessions }) => {
  assert.deepEqual(await sessions.wakeSleepers(), []);
});

check('breaks no connection, loses no message and doubles none', async ({ traffic, encrypted }) => {
  const ledger = await traffic.finish();
  assert.deepEqual(ledger.problems, []);
  assert.ok(ledger.delivered > 10_000, `only ${ledger.delivered} messages were delivered`);
  if (encrypted !== undefined) assert.ok(encrypted.connected, 'the encrypted connection broke');
});

check('needs no more memory, descriptors or mappings from update to update', ({ start, steps: taken }) => {
  const [first] = taken;
  const last = taken.at(-1);
  if (first === undefined || last === undefined) return;
  const rows = taken.map((step) => `${step.version} ${JSON.stringify(step.footprint)}`).join('\n');
  assert.ok(
    last.footprint.descriptors <= start.descriptors,
    `${start.descriptors} descriptors at the start\n${rows}`,
  );
  assert.ok(
    last.footprint.residentKiB < start.residentKiB + 8192,
    `${start.residentKiB} KiB at the start\n${rows}`,
  );
  assert.ok(last.footprint.residentKiB < first.footprint.residentKiB + 4096, `${rows}`);
  // A transformer library (five mappings) may stay until a later update, if a stale word in free memory looks like a pointer into it.
  assert.ok(last.footprint.mappings <= first.footprint.mappings + 16, rows);
});

check('still obeys its signals', async ({ broker, traffic, sessions, encrypted }) => {
  broker.signal('SIGUSR1');
  assert.ok(await eventually(() => existsSync(broker.database)), 'SIGUSR1 saved nothing');
  await encrypted?.endAsync(true);
  await traffic.close();
  await sessions.close();
  assert.equal(await broker.stop(), 0, broker.log());
});

test.run();
