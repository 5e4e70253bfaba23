/**
 * Two hundred connected clients that publish and check all the time.
 *
 * Each client subscribes to its room (`rooms/N/+`, ten clients a room) and to what is sent to itself (`own/ID/#`), and publishes numbered
 * messages to both, with QoS 1 and 2 in turn. As no connection may break, every message must arrive at every subscriber exactly once,
 * and those of one publisher with one QoS in order; a second copy is allowed with QoS 1 only, and only marked as such.
 */
import mqtt, { type IClientPublishOptions, type MqttClient } from 'mqtt';

export interface Ledger {
  readonly published: number;
  readonly delivered: number;
  /** What went wrong, in words; empty if nothing did. */
  readonly problems: readonly string[];
}

export interface Traffic {
  readonly clients: readonly MqttClient[];
  /** The longest time from a publication to its acknowledgement since the last call, in ms. */
  longestAcknowledgement(): number;
  /** Ends publishing, waits for what is under way, and draws the balance. */
  finish(): Promise<Ledger>;
  close(): Promise<void>;
}

const roomSize = 10;

interface Stream {
  readonly topic: string;
  readonly receivers: readonly number[];
  sent: number;
}

type Quality = 1 | 2;

/** What one subscriber got of one stream: how often each number, and the last number of each QoS. */
interface Received {
  readonly copies: number[];
  readonly last: [number, number, number];
}

function clientId(index: number): string {
  return `client-${String(index).padStart(3, '0')}`;
}

/** With which QoS a client publishes a number, and with which it subscribes; what arrives has the lower one. */
function publishedWith(index: number, sequence: number): Quality {
  return (index + sequence) % 2 === 0 ? 1 : 2;
}
function subscribedWith(index: number): Quality {
  return index % 3 === 0 ? 1 : 2;
}

/** Connects `count` clients to the broker and lets each publish two messages every `periodMs`. */
export async function startTraffic(port: number, count = 200, periodMs = 1000): Promise<Traffic> {
  const problems: string[] = [];
  const streams: Stream[][] = [];
  const received = new Map<string, Received>();
  let delivered = 0;
  let published = 0;
  let pending = 0;
  let longest = 0;
  let closing = false;

  const note = (text: string): void => {
    if (problems.length < 50) problems.push(text);
  };

  function accept(index: number, topic: string, payload: string, qos: number, dup: boolean): void {
    delivered++;
    const sequence = Number.parseInt(payload, 10);
    const key = `${index} ${topic}`;
    let record = received.get(key);
    if (record === undefined) {
      record = { copies: [], last: [0, 0, 0] };
      received.set(key, record);
    }
    const copies = (record.copies[sequence] ?? 0) + 1;
    record.copies[sequence] = copies;
    if (copies > 1) {
      if (qos === 2) note(`${clientId(index)} got ${topic} #${sequence} ${copies} times with QoS 2`);
      else if (!dup)
        note(`${clientId(index)} got ${topic} #${sequence} ${copies} times, not marked as a copy`);
      return;
    }
    // Messages of the two publishing QoS may overtake each other; within one they may not.
    const lane = sequence % 2;
    if (sequence < record.last[lane]!)
      note(`${clientId(index)} got ${topic} #${sequence} after #${record.last[lane]}`);
    record.last[lane] = sequence;
  }

  async function join(index: number): Promise<MqttClient> {
    const client = await mqtt.connectAsync({
      host: '127.0.0.1',
      port,
      clientId: clientId(index),
      protocolVersion: index % 4 === 0 ? 5 : 4,
      reconnectPeriod: 0,
      keepalive: 60,
    });
    for (const event of ['close', 'offline', 'disconnect'] as const) {
      client.on(event, () => {
        if (!closing) note(`${clientId(index)}: ${event}`);
      });
    }
    client.on('error', (error) => note(`${clientId(index)}: ${error.message}`));
    client.on('message', (topic, payload, packet) =>
      accept(index, topic, payload.toString(), packet.qos, packet.dup),
    );
    const room = index % Math.ceil(count / roomSize);
    const granted = await client.subscribeAsync([`rooms/${room}/+`, `own/${clientId(index)}/#`], {
      qos: subscribedWith(index),
    });
    if (granted.some((grant) => grant.qos > 2)) note(`${clientId(index)}: a subscription was refused`);
    return client;
  }

  const clients: MqttClient[] = [];
  for (let first = 0; first < count; first += 20) {
    clients.push(
      ...(await Promise.all(Array.from({ length: Math.min(20, count - first) }, (_, i) => join(first + i)))),
    );
  }
  const rooms = Math.ceil(count / roomSize);
  for (let i = 0; i < count; i++) {
    const neighbour = (i + 1) % count;
    streams.push([
      {
        topic: `rooms/${i % rooms}/${clientId(i)}`,
        receivers: clients.flatMap((_, other) => (other % rooms === i % rooms ? [other] : [])),
        sent: 0,
      },
      { topic: `own/${clientId(neighbour)}/from/${clientId(i)}`, receivers: [neighbour], sent: 0 },
    ]);
  }

  function publish(index: number): void {
    for (const stream of streams[index]!) {
      const sequence = ++stream.sent;
      const options: IClientPublishOptions = { qos: publishedWith(index, sequence) };
      const start = performance.now();
      published++;
      pending++;
      clients[index]!.publish(stream.topic, `${sequence} ${'x'.repeat(sequence % 100)}`, options, (error) => {
        pending--;
        longest = Math.max(longest, performance.now() - start);
        if (error)
          note(`${clientId(index)}: publication ${sequence} to ${stream.topic} failed: ${error.message}`);
      });
    }
  }

  let turn = 0;
  const slice = Math.max(1, Math.round((count * 50) / periodMs));
  const timer = setInterval(() => {
    for (let i = 0; i < slice; i++) publish(turn++ % count);
  }, 50);

  function missing(): string[] {
    const found: string[] = [];
    for (const stream of streams.flat()) {
      for (const receiver of stream.receivers) {
        const copies = received.get(`${receiver} ${stream.topic}`)?.copies ?? [];
        for (let sequence = 1; sequence <= stream.sent; sequence++) {
          if (copies[sequence] === undefined)
            found.push(`${clientId(receiver)} never got ${stream.topic} #${sequence}`);
        }
      }
    }
    return found;
  }

  return {
    clients,
    longestAcknowledgement() {
      const value = longest;
      longest = 0;
      return value;
    },
    async finish() {
      clearInterval(timer);
      const until = performance.now() + 15_000;
      let lost = missing();
      while ((pending > 0 || lost.length > 0) && performance.now() < until) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        lost = missing();
      }
      if (pending > 0) note(`${pending} publications were never acknowledged`);
      if (lost.length > 0)
        problems.push(`${lost.length} messages lost, such as: ${lost.slice(0, 5).join('; ')}`);
      return { published, delivered, problems };
    },
    async close() {
      closing = true;
      clearInterval(timer);
      await Promise.all(clients.map((client) => client.endAsync(true)));
    },
  };
}
