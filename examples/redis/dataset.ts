/** Keys of every type and encoding, and what else a server keeps for its clients. */
import type { Redis } from 'ioredis';

type Command = [name: string, ...args: (string | number)[]];

const library = `#!lua name=example
redis.register_function('example_add', function(keys, args) return args[1] + args[2] end)`;

/** The commands that make the keys with number `i`, one of each kind. */
function keysOf(i: number): Command[] {
  const many = Array.from({ length: i % 500 === 0 ? 600 : 3 }, (_, n) => n);
  return [
    ['set', `string:${i}`, `value ${i} ${'x'.repeat(i % 90)}`],
    ['set', `number:${i}`, i],
    ['set', `expiring:${i}`, i, 'ex', 100_000 + i],
    ['rpush', `list:${i}`, ...many.map((n) => `element ${n}`)],
    ['hset', `hash:${i}`, ...many.flatMap((n) => [`field ${n}`, `value ${n}`])],
    ['sadd', `set:${i}`, ...many.map((n) => `member ${n}`)],
    ['sadd', `integers:${i}`, ...many],
    ['zadd', `sorted:${i}`, ...many.flatMap((n) => [n / 2, `member ${n}`])],
    ['xadd', `stream:${i}`, `${i + 1}-1`, 'field', i],
    ['pfadd', `log:${i}`, ...many],
  ];
}

/** Makes `count` keys, a tenth of them of each kind; every hundredth stream has a group with a pending message. */
export async function fill(client: Redis, count: number): Promise<void> {
  for (let i = 0; i < count / 10; ) {
    const commands: Command[] = [];
    for (; i < count / 10 && commands.length < 2000; i++) {
      commands.push(...keysOf(i));
      if (i % 100 === 0)
        commands.push(
          ['xgroup', 'create', `stream:${i}`, 'group', 0],
          ['xreadgroup', 'group', 'group', 'consumer', 'streams', `stream:${i}`, '>'],
        );
    }
    const answers = await client.pipeline(commands).exec();
    const failed = answers?.find(([error]) => error !== null);
    if (failed) throw failed[0];
  }
  await client.call('FUNCTION', 'LOAD', library);
}

/** Asks for keys of all kinds by number; the names of those that are not what `fill` made them. */
export async function wrongKeys(client: Redis, numbers: readonly number[]): Promise<string[]> {
  const wrong: string[] = [];
  const expect = (name: string, actual: unknown, expected: unknown): void => {
    if (JSON.stringify(actual) !== JSON.stringify(expected))
      wrong.push(`${name}: ${JSON.stringify(actual)?.slice(0, 200)}`);
  };
  for (const i of numbers) {
    const many = Array.from({ length: i % 500 === 0 ? 600 : 3 }, (_, n) => n);
    expect(`string:${i}`, await client.get(`string:${i}`), `value ${i} ${'x'.repeat(i % 90)}`);
    expect(`number:${i}`, await client.get(`number:${i}`), `${i}`);
    const left = await client.ttl(`expiring:${i}`);
    if (left > 100_000 + i || left < 99_000 + i) wrong.push(`expiring:${i}: ${left} s left`);
    expect(
      `list:${i}`,
      await client.lrange(`list:${i}`, 0, -1),
      many.map((n) => `element ${n}`),
    );
    expect(
      `hash:${i}`,
      await client.hget(`hash:${i}`, `field ${many.length - 1}`),
      `value ${many.length - 1}`,
    );
    expect(`set:${i}`, await client.scard(`set:${i}`), many.length);
    expect(`integers:${i}`, await client.sismember(`integers:${i}`, 2), 1);
    expect(`sorted:${i}`, await client.zrank(`sorted:${i}`, `member ${many.length - 1}`), many.length - 1);
    expect(`stream:${i}`, await client.xrange(`stream:${i}`, '-', '+'), [[`${i + 1}-1`, ['field', `${i}`]]]);
  }
  return wrong;
}
