/** The key-value server of the demo goes through its versions under load; what is half said when an update comes is finished after it. */

import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import { connectTo, countWrong, leaks, preload, startCrowd } from '../../fixtures/kvserver/clients.js';
import {
  buildVersion,
  generate,
  impossible,
  type Server,
  startServer,
  versions,
} from '../../fixtures/kvserver/server.js';
import { temporaryFolder, update } from './harness.js';

const kv = suite('key-value server');
const folder = temporaryFolder('kvserver');
const built = new Map<string, string>();
let server: Server | undefined;
const at = (version: string): string => built.get(version) ?? '';

kv.before(async () => {
  for (const version of [...versions, impossible]) built.set(version, await buildVersion(folder, version));
  await generate(at('v1'), at('v2'), 'v1-v2.xf');
  await generate(at('v2'), at('v3'), 'v2-v3.xf');
  await generate(at('v3'), at('v4'), 'v3-v4.xf');
  await generate(at('v4'), at('v5'));
});

kv.after(() => server?.program.kill());

kv('four updates under load lose no connection and no answer, and the last one closes the leak', async () => {
  server = await startServer(at('v1'), join(folder, 'log'));
  const { port, program } = server;
  await preload(port, 2000);
  const crowd = await startCrowd(port, 30);
  const observer = await connectTo(port);
  // The first half of a request is sent in one version, the other half in the next.
  const slow = connect(port, '127.0.0.1');
  await once(slow, 'connect');
  slow.setEncoding('latin1');
  for (const [index, version] of versions.slice(1).entries()) {
    if (version === 'v5') assert.equal(await leaks(port), true, 'the leak can be shown before its fix');
    slow.write(`SET half-${index} sent in `);
    await sleep(200);
    const ran = await update(program.pid, at(version));
    assert.equal(ran.status, 0, ran.output);
    slow.write(`two parts\nGET half-${index}\n`);
    let answer = '';
    while (answer.split('\n').length < 3) answer += (await once(slow, 'data'))[0];
    assert.equal(answer, 'OK\nVALUE sent in two parts\n');
    assert.equal(await observer.ask('VERSION'), `VERSION ${version}`);
    await sleep(200);
    assert.deepEqual(crowd.problems(), []);
    assert.equal(crowd.connected(), 30);
    if (version === 'v2') {
      assert.equal(await observer.ask('GET preloaded-3'), 'VALUE value 3');
      assert.equal(await observer.ask('HITS preloaded-3'), 'HITS 1');
      assert.equal(await observer.ask('EXPIRE preloaded-3 3600000'), 'OK');
    } else {
      assert.equal(await observer.ask('HITS preloaded-3'), 'HITS 1');
      assert.match(await observer.ask('TTL preloaded-3'), /^TTL 3[56]\d{5}$/);
    }
  }
  assert.equal(await leaks(port), false, 'the leak is closed');
  const refused = await update(program.pid, at(impossible));
  assert.equal(refused.status, 1);
  assert.match(refused.output, /KT4201.*store\.c\/store/);
  assert.equal(await observer.ask('VERSION'), 'VERSION v5');
  await crowd.finish();
  assert.deepEqual(crowd.problems(), []);
  assert.equal(await countWrong(port, 2000), 0);
  slow.destroy();
  observer.close();
  program.signal('SIGTERM');
  assert.equal(await program.finish(), 0, 'the signal handler of v1 is that of v5');
});

kv.run();
