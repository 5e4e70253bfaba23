/** The caller at the other end of a socket: a client, which does what it is asked to. */

import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { Caller } from '../support/caller.js';
import { type Content, piecesOf, type RunResult } from '../support/processes.js';
import {
  type BodyReader,
  BodyWriter,
  fileKinds,
  fromClient,
  type Message,
  messageReader,
  type Request,
  streamModes,
  toClient,
} from './protocol.js';

/** What a client says when it comes. */
export interface Hello {
  readonly identity: string;
  readonly words: readonly string[];
  readonly caller: Caller;
}

interface Waiting {
  readonly resolve: (body: BodyReader) => void;
  readonly reject: (error: Error) => void;
}

export interface ClientConnection {
  /** Rejects if what comes is no client. */
  readonly hello: Promise<Hello>;
  /** The last thing a client hears. */
  exit(status: number): void;
}

const systemError = (errno: number): Error => {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(code), { code });
};

const signalNames = new Map(Object.entries(constants.signals).map(([name, n]) => [n, name]));

const wholeFile = 0xffff_ffff_ffff_ffffn;

/** Talks to the client of a socket. */
export function connectClient(socket: Socket): ClientConnection {
  const waiting = new Map<number, Waiting>();
  let last = 0;

  const send = (request: Request, number: number, body: BodyWriter): void => {
    if (socket.destroyed) return;
    const head = Buffer.alloc(9);
    head.writeUInt32LE(body.size + 4);
    head[4] = toClient[request];
    head.writeUInt32LE(number, 5);
    // What is said in one go goes out in one piece: each wakes the client.
    if (socket.writableCorked === 0) {
      socket.cork();
      process.nextTick(() => socket.uncork());
    }
    socket.write(head);
    for (const part of body.parts) socket.write(part);
  };
  const ask = (request: Request, body: BodyWriter): Answer => {
    const number = ++last;
    const reply = new Promise<BodyReader>((resolve, reject) => {
      if (socket.destroyed) {
        reject(new Error('the client has gone'));
        return;
      }
      waiting.set(number, { resolve, reject });
      send(request, number, body);
    });
    return Object.assign(reply, { number });
  };
  const tell = (request: Request, body: BodyWriter): void => send(request, 0, body);
  const body = (): BodyWriter => new BodyWriter();

  let greet: (hello: Hello) => void = () => {};
  let refuse: (error: Error) => void = () => {};
  const hello = new Promise<Hello>((resolve, reject) => {
    greet = resolve;
    refuse = reject;
  });
  hello.catch(() => {});

  const take = ({ kind, body: message }: Message): void => {
    if (kind === fromClient.hello) {
      greet(readHello(message, { ask, tell, body }));
      return;
    }
    const number = message.u32();
    const request = waiting.get(number);
    if (!request) return;
    if (kind === fromClient.reply) {
      waiting.delete(number);
      const errno = message.u32();
      if (errno === 0) request.resolve(message);
      else request.reject(systemError(errno));
    }
  };
  const read = messageReader(take);
  socket.on('data', (chunk: Buffer) => {
    try {
      read(chunk);
    } catch {
      socket.destroy();
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    const error = new Error('the client has gone');
    refuse(error);
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  });

  return {
    hello,
    exit(status) {
      tell('exit', body().u32(status));
      socket.end();
    },
  };
}

/** Rejects with the system's error; the number is the request's. */
type Answer = Promise<BodyReader> & { readonly number: number };

interface Line {
  ask(request: Request, body: BodyWriter): Answer;
  tell(request: Request, body: BodyWriter): void;
  body(): BodyWriter;
}

function readHello(message: BodyReader, line: Line): Hello {
  const identity = message.str();
  const pid = message.u32();
  const terminal = message.u8() !== 0;
  const directory = message.str();
  const words = message.list();
  const environment: NodeJS.ProcessEnv = {};
  for (const variable of message.list()) {
    const equals = variable.indexOf('=', 1);
    if (equals > 0) environment[variable.slice(0, equals)] ??= variable.slice(equals + 1);
  }
  return { identity, words, caller: callerOf({ environment, directory, pid, terminal }, line) };
}

function callerOf(
  facts: Pick<Caller, 'environment' | 'directory' | 'pid' | 'terminal'>,
  { ask, tell, body }: Line,
): Caller {
  let input: Promise<Buffer> | undefined;
  const outputs: Output[] = [];
  const done = (): void => {};
  return {
    ...facts,
    async run(command, args, options = {}): Promise<RunResult> {
      const mode = (name: (typeof streamModes)[number] | undefined): number =>
        streamModes.indexOf(name ?? 'inherit');
      const request = body()
        .str(command)
        .list(args)
        .u8(mode(options.input === undefined ? 'inherit' : 'pipe'))
        .u8(mode(options.stdout))
        .u8(mode(options.stderr))
        .list(options.without ?? []);
      writePieces(request, options.input ?? '', outputs);
      const answer = ask('run', request);
      const reply = await answer;
      const status = reply.u32();
      const signal = signalNames.get(reply.u32()) as NodeJS.Signals | undefined;
      const stdout = reply.blob();
      outputs.push({ request: answer.number, bytes: stdout });
      return { status, signal, stdout, stderr: reply.blob() };
    },
    async become(command, args) {
      await ask('become', body().str(command).list(args));
      return 0;
    },
    kindOf: async (path) => fileKinds[(await ask('kindOf', body().str(path))).u8()] ?? 'none',
    realPath: async (path) => (await ask('realPath', body().str(path))).str(),
    read: async (path, offset, length) => {
      const part = offset !== undefined && length !== undefined;
      const request = body()
        .str(path)
        .u64(part ? BigInt(offset) : 0n)
        .u64(part ? BigInt(length) : wholeFile);
      return (await ask('read', request)).blob();
    },
    write: (path, content) => {
      const request = body().str(path);
      writePieces(request, content, outputs);
      return ask('write', request).then(done);
    },
    patch: (path, patches) => {
      const request = body().str(path).u32(patches.length);
      for (const { offset, bytes } of patches) request.u64(BigInt(offset)).str(bytes);
      return ask('patch', request).then(done);
    },
    move: (from, to) => ask('move', body().str(from).str(to)).then(done),
    remove: (path) => ask('remove', body().str(path)).then(done),
    makePrivateDirectory: async (prefix) => (await ask('makeDirectory', body().str(prefix))).str(),
    removeAtExit: (path) => {
      tell('removeAtExit', body().str(path));
      return () => tell('keep', body().str(path));
    },
    standardInput: () => {
      input ??= ask('standardInput', body()).then((reply) => reply.blob());
      return input;
    },
    print: (descriptor, bytes) => {
      if (bytes.length > 0) tell('print', body().u8(descriptor).str(bytes));
    },
    append: (path, text) => tell('append', body().str(path).str(text)),
  };
}

/** What a child has written to its standard output. */
interface Output {
  readonly request: number;
  readonly bytes: Buffer;
}

/** The client has what its children have written: parts of it are named instead of sent. */
function writePieces(body: BodyWriter, content: Content, outputs: readonly Output[]): void {
  const pieces = piecesOf(content);
  body.u32(pieces.length);
  for (const piece of pieces) {
    const known = outputs.find(({ bytes }) => isPart(piece, bytes));
    if (known) {
      body
        .u32(known.request)
        .u32(piece.byteOffset - known.bytes.byteOffset)
        .u32(piece.length);
    } else body.u32(0).str(piece);
  }
}

const isPart = (piece: Buffer, whole: Buffer): boolean =>
  piece.buffer === whole.buffer &&
  piece.byteOffset >= whole.byteOffset &&
  piece.byteOffset + piece.length <= whole.byteOffset + whole.length;
