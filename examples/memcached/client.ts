/** A client of memcached's text protocol, and the items that the example's test keeps in the server. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** One connection, one request at a time. Any break or error fails what waits for an answer, and all that comes later. */
export class Connection {
  readonly #socket: Socket;
  #rest = '';
  #lines: string[] = [];
  #done: ((line: string, count: number) => boolean) | undefined;
  #settle: { resolve(lines: string[]): void; reject(error: Error): void } | undefined;
  #broken: Error | undefined;
  #closing = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay();
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => this.#take(chunk));
    socket.on('error', (error: Error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('disconnected')));
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Connection(socket);
  }

  #fail(error: Error): void {
    if (this.#closing) return;
    this.#broken ??= error;
    this.#settle?.reject(this.#broken);
    this.#settle = undefined;
  }

  #take(chunk: string): void {
    const lines = (this.#rest + chunk).split('\r\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      this.#lines.push(line);
      if (this.#done?.(line, this.#lines.length)) {
        const all = this.#lines;
        this.#lines = [];
        this.#done = undefined;
        this.#settle?.resolve(all);
        this.#settle = undefined;
      }
    }
  }

  /** Sends `request` and returns the lines of the answer up to the one for which `done` holds. */
  ask(request: string, done: (line: string, count: number) => boolean): Promise<string[]> {
    return new Promise((resolve, reject) => {
      if (this.#broken) {
        reject(this.#broken);
        return;
      }
      this.#done = done;
      this.#settle = { resolve, reject };
      this.#socket.write(request, 'latin1');
    });
  }

  /** Takes no more of what the server sends, until `resume`. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** More of a request that was begun. */
  send(text: string): void {
    this.#socket.write(text, 'latin1');
  }

  /** One line asked, one line answered. */
  async line(request: string): Promise<string> {
    return (await this.ask(`${request}\r\n`, () => true))[0]!;
  }

  /** `stats [what]` as a table. */
  async stats(what = ''): Promise<Map<string, string>> {
    const lines = await this.ask(`stats ${what}`.trimEnd().concat('\r\n'), (line) => line === 'END');
    return new Map(
      lines
        .slice(0, -1)
        .map((line) => line.split(' '))
        .map(([, name = '', value = '']) => [name, value]),
    );
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }
}

const keyOf = (i: number): string => `item:${i}`;
/** Of 5 to about 3,000 bytes: items of many slab classes. */
const textOf = (i: number): string => `value ${i} ${'x'.repeat((i * 7919) % (i % 100 === 0 ? 3000 : 200))}`;
const batch = 500;

/** Stores `count` items, with flags, a tenth of them with a time to live. */
export async function fill(connection: Connection, count: number): Promise<void> {
  for (let from = 0; from < count; from += batch) {
    const numbers = Array.from({ length: Math.min(batch, count - from) }, (_, n) => from + n);
    const request = numbers.map((i) => {
      const value = textOf(i);
      return `set ${keyOf(i)} ${i % 65536} ${i % 10 === 0 ? 100_000 : 0} ${value.length}\r\n${value}\r\n`;
    });
    const answers = await connection.ask(request.join(''), (_, n) => n === numbers.length);
    const wrong = answers.find((line) => line !== 'STORED');
    if (wrong !== undefined) throw new Error(`set: ${wrong}`);
  }
}

/** Reads all items. Returns what each is, for comparison: its flags and its unique number for "cas". */
export async function readAll(connection: Connection, count: number): Promise<string[]> {
  const heads: string[] = [];
  for (let from = 0; from < count; from += batch) {
    const numbers = Array.from({ length: Math.min(batch, count - from) }, (_, n) => from + n);
    const lines = await connection.ask(`gets ${numbers.map(keyOf).join(' ')}\r\n`, (line) => line === 'END');
    for (const [n, i] of numbers.entries()) {
      const [head = '', value = ''] = lines.slice(2 * n, 2 * n + 2);
      if (!head.startsWith(`VALUE ${keyOf(i)} ${i % 65536} `) || value !== textOf(i))
        throw new Error(`${keyOf(i)}: ${head} ${value.slice(0, 80)}`);
      heads.push(head);
    }
  }
  return heads;
}
