/** Clients whose state lives in the broker rather than in a connection: retained messages, wills, sessions of absent clients, shared subscriptions. */
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';

const quiet: IClientOptions = { host: '127.0.0.1', reconnectPeriod: 0 };

/** Waits until `condition` holds or the time is over; whether it holds. */
export async function eventually(condition: () => boolean, limitMs = 5000): Promise<boolean> {
  const until = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > until) return condition();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

export interface Sessions {
  /** Publishes the next round of everything below. */
  publish(): Promise<void>;
  /** Prepares a client with a will, to die in `verify`. */
  prepare(): Promise<void>;
  /** Checks what can be checked after each update; what is wrong, in words. */
  verify(): Promise<string[]>;
  /** Brings the absent clients back and checks what waited for them; what is wrong, in words. */
  wakeSleepers(): Promise<string[]>;
  /** What was last sent to a topic under $SYS/broker/. */
  statistic(topic: string): string | undefined;
  close(): Promise<void>;
}

const retainedTopics = 100;
const perRound = 20;

/** Sets up retained messages, two absent clients with lasting sessions (MQTT 3.1.1 and 5), and three workers that share a subscription. */
export async function startSessions(port: number): Promise<Sessions> {
  const options = { ...quiet, port };
  const publisher = await mqtt.connectAsync({ ...options, clientId: 'publisher', protocolVersion: 5 });
  const statistics = new Map<string, string>();
  const wills: string[] = [];
  const watcher = await mqtt.connectAsync({ ...options, clientId: 'watcher' });
  watcher.on('message', (topic, payload) => {
    if (topic.startsWith('$SYS/')) statistics.set(topic.slice('$SYS/broker/'.length), payload.toString());
    else wills.push(payload.toString());
  });
  await watcher.subscribeAsync({ 'wills/#': { qos: 2 }, '$SYS/broker/#': { qos: 0 } });

  const sleepers: IClientOptions[] = [
    { ...options, clientId: 'sleeper-311', protocolVersion: 4, clean: false },
    {
      ...options,
      clientId: 'sleeper-5',
      protocolVersion: 5,
      clean: false,
      properties: { sessionExpiryInterval: 3600 },
    },
  ];
  for (const sleeper of sleepers) {
    const client = await mqtt.connectAsync(sleeper);
    await client.subscribeAsync(['sleepers/+/data', `only/${sleeper.clientId}`], { qos: 2 });
    await client.endAsync();
  }

  const shared: string[] = [];
  const shares: number[] = [0, 0, 0];
  const workers: MqttClient[] = [];
  for (let i = 0; i < 3; i++) {
    const worker = await mqtt.connectAsync({ ...options, clientId: `worker-${i}`, protocolVersion: 5 });
    worker.on('message', (_topic, payload) => {
      shared.push(payload.toString());
      shares[i]!++;
    });
    await worker.subscribeAsync('$share/workers/jobs/#', { qos: 2 });
    workers.push(worker);
  }

  const retained = new Map<string, string>();
  let round = 0;
  let mortal: MqttClient | undefined;

  async function checkRetained(): Promise<string[]> {
    const seen = new Map<string, string>();
    const problems: string[] = [];
    const fresh = await mqtt.connectAsync({ ...options, clientId: `fresh-${round}` });
    fresh.on('message', (topic, payload, packet) => {
      if (!packet.retain) problems.push(`${topic} came unretained`);
      if (seen.has(topic)) problems.push(`${topic} came twice`);
      seen.set(topic, payload.toString());
    });
    await fresh.subscribeAsync('retained/#', { qos: 1 });
    await eventually(() => seen.size === retained.size);
    await fresh.endAsync();
    for (const [topic, payload] of retained) {
      if (seen.get(topic) !== payload)
        problems.push(`retained ${topic} is ${seen.get(topic)} and not ${payload}`);
    }
    return problems;
  }

  async function checkWill(): Promise<string[]> {
    if (mortal === undefined) return [];
    const testament = `last words ${round}`;
    mortal.stream.destroy();
    mortal = undefined;
    await eventually(() => wills.includes(testament));
    const copies = wills.filter((will) => will === testament).length;
    return copies === 1 ? [] : [`the will of a client that died came ${copies} times`];
  }

  /** A client that unsubscribes must no longer get anything; one that subscribes again must. */
  async function checkSubscribing(): Promise<string[]> {
    const problems: string[] = [];
    const before = shared.length;
    const leaver = workers[2]!;
    const reasons = await leaver.unsubscribeAsync('$share/workers/jobs/#');
    const share = shares[2];
    await publisher.publishAsync('jobs/away', `away-1 ${round}`, { qos: 1 });
    await publisher.publishAsync('jobs/away', `away-2 ${round}`, { qos: 1 });
    await publisher.publishAsync('jobs/away', `away-3 ${round}`, { qos: 1 });
    if (!(await eventually(() => shared.length === before + 3)))
      problems.push(`${shared.length - before} of 3 shared messages came`);
    if (shares[2] !== share) problems.push('a worker got a message after it had unsubscribed');
    await leaver.subscribeAsync('$share/workers/jobs/#', { qos: 2 });
    void reasons;
    return problems;
  }

  async function checkShared(from: number): Promise<string[]> {
    await eventually(() => shared.length >= from + perRound);
    const fresh = shared.slice(from);
    const problems: string[] = [];
    if (new Set(fresh).size !== perRound || fresh.length !== perRound)
      problems.push(
        `${perRound} shared messages came as ${fresh.length}, ${new Set(fresh).size} of them different`,
      );
    return problems;
  }

  return {
    async publish() {
      round++;
      const from = shared.length;
      for (let i = 0; i < perRound; i++) {
        await publisher.publishAsync(`sleepers/${i}/data`, `${round}.${i}`, { qos: i % 2 === 0 ? 1 : 2 });
        await publisher.publishAsync(`jobs/${i}`, `${round}.${i}`, { qos: 2 });
      }
      for (let i = 0; i < retainedTopics; i++) {
        // Each round renews some of them, so that retained messages of all versions are there.
        if (round > 1 && i % 7 !== round % 7) continue;
        const topic = `retained/${i % 10}/${i}`;
        retained.set(topic, `round ${round}`);
        await publisher.publishAsync(topic, `round ${round}`, { qos: 1, retain: true });
      }
      const problems = await checkShared(from);
      if (problems.length > 0) throw new Error(problems.join('; '));
    },
    async prepare() {
      mortal = await mqtt.connectAsync({
        ...options,
        clientId: 'mortal',
        will: { topic: 'wills/mortal', payload: Buffer.from(`last words ${round}`), qos: 2, retain: false },
      });
      mortal.on('error', () => {});
    },
    async verify() {
      return [...(await checkWill()), ...(await checkRetained()), ...(await checkSubscribing())];
    },
    async wakeSleepers() {
      const problems: string[] = [];
      for (const sleeper of sleepers) {
        const got: string[] = [];
        const client = mqtt.connect(sleeper);
        client.on('message', (_topic, payload) => got.push(payload.toString()));
        let present = false;
        client.on('connect', (packet) => {
          present = packet.sessionPresent;
        });
        await eventually(() => got.length >= round * perRound, 10_000);
        await new Promise((resolve) => setTimeout(resolve, 200));
        await client.endAsync();
        if (!present) problems.push(`the broker forgot the session of ${sleeper.clientId}`);
        const different = new Set(got).size;
        if (got.length !== round * perRound || different !== got.length)
          problems.push(
            `${sleeper.clientId} got ${got.length} messages, ${different} different ones, instead of ${round * perRound}`,
          );
      }
      return problems;
    },
    statistic: (topic) => statistics.get(topic),
    async close() {
      for (const client of [publisher, watcher, mortal, ...workers]) await client?.endAsync(true);
    },
  };
}
