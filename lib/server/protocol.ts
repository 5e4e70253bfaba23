/**
 * What client and compile server say to each other over their socket. A message is `u32 size · u8 kind · body`, `size` that of the body;
 * numbers are little-endian, a string is `u32 size · bytes`, a list `u32 count · strings`. The client (runtime/kcc/) has the same
 * kinds from `tables.def`, which is made from this file.
 */

/** Part of every server's identity: a change of anything here needs another number. */
export const protocolVersion = 2;

/** From the client. */
export const fromClient = {
  /** `str identity · u32 pid · u8 terminal · str directory · list words · list environment` */
  hello: 1,
  /** `u32 request · u32 errno · result`, errno 0 if it was done. */
  reply: 2,
} as const;

/** To the client. Every body starts with `u32 request`; results are those of the reply. */
export const toClient = {
  /**
   * `str command · list words · u8 stdin · u8 stdout · u8 stderr (of streamModes) · list variables to leave out · pieces of the
   * input` → `u32 status · u32 signal · str stdout · str stderr`. Pieces are `u32 count` and for each `u32 0 · str bytes`, or `u32 request · u32 offset · u32 size`:
   * a part of what an earlier child has written to its standard output.
   */
  run: 16,
  /** `str command · list words` → nothing, if it could be started */
  become: 17,
  /** `str path` → `u8 of fileKinds` */
  kindOf: 18,
  /** `str path` → `str path` */
  realPath: 19,
  /** `str path · u64 offset · u64 length`, length all ones for the whole file → `str bytes` */
  read: 20,
  /** `str path · pieces` (as for `run`) */
  write: 21,
  /** `str path · u32 count · (u64 offset · str bytes)…` */
  patch: 22,
  /** `str from · str to` */
  move: 23,
  /** `str path` */
  remove: 24,
  /** `str prefix` → `str path` */
  makeDirectory: 25,
  /** → `str bytes` */
  standardInput: 26,
  // Without a reply:
  /** `str path` */
  removeAtExit: 27,
  /** `str path` */
  keep: 28,
  /** `u8 descriptor · str bytes` */
  print: 29,
  /** `str path · str text` */
  append: 30,
  /** `u32 status` */
  exit: 31,
} as const;

export type Request = keyof typeof toClient;

export const streamModes = ['inherit', 'pipe', 'ignore'] as const;
export const fileKinds = ['none', 'file', 'other'] as const;

/** Puts a body together. Large strings are not copied. */
export class BodyWriter {
  readonly parts: Buffer[] = [];
  size = 0;

  private push(bytes: Buffer): this {
    this.parts.push(bytes);
    this.size += bytes.length;
    return this;
  }
  u8(value: number): this {
    return this.push(Buffer.from([value]));
  }
  u32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return this.push(bytes);
  }
  u64(value: bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    return this.push(bytes);
  }
  str(value: string | Buffer): this {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    return this.u32(bytes.length).push(bytes);
  }
  list(values: readonly string[]): this {
    this.u32(values.length);
    for (const value of values) this.str(value);
    return this;
  }
}

/** Reads a body; throws a RangeError where it ends too early. */
export class BodyReader {
  private at = 0;
  constructor(private readonly bytes: Buffer) {}

  private take(size: number): Buffer {
    if (this.at + size > this.bytes.length) throw new RangeError('a message ends too early');
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }
  u8(): number {
    return this.take(1)[0]!;
  }
  u32(): number {
    return this.take(4).readUInt32LE();
  }
  blob(): Buffer {
    return this.take(this.u32());
  }
  str(): string {
    return this.blob().toString();
  }
  list(): string[] {
    return Array.from({ length: this.u32() }, () => this.str());
  }
}

export interface Message {
  readonly kind: number;
  readonly body: BodyReader;
}

/** No message is larger: an object file, or a preprocessed source. */
const mostBytes = 1 << 30;

/** Cuts a stream into messages. Feed it chunks; it calls `take` for each message that is complete. */
export function messageReader(take: (message: Message) => void): (chunk: Buffer) => void {
  let waiting: Buffer[] = [];
  let size = 0;
  let wanted = 5;
  return (chunk) => {
    waiting.push(chunk);
    size += chunk.length;
    while (size >= wanted) {
      const bytes = waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting, size);
      const end = 5 + bytes.readUInt32LE(0);
      if (end > mostBytes) throw new RangeError('a message is too large');
      if (size < end) {
        waiting = [bytes];
        wanted = end;
        return;
      }
      const rest = bytes.subarray(end);
      waiting = rest.length > 0 ? [rest] : [];
      size = rest.length;
      wanted = 5;
      take({ kind: bytes[4]!, body: new BodyReader(bytes.subarray(5, end)) });
    }
  };
}
