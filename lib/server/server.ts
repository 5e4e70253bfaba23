/**
 * The compile server: does kcc's thinking for clients, which do everything that touches the world. So it needs no more of a request than
 * its words, environment and texts, and one that is killed loses nothing: its clients start over without it.
 *
 * It lives for one installation of kcc and one user, who alone can enter the directory of its socket. It ends when nobody has come
 * for a while, when it has grown too large, and when the installation is no longer the one it was started from.
 */

import { closeSync, statSync, unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { runKcc } from '../wrapper/main.js';
import { connectClient } from './client-process.js';
import { protocolVersion } from './protocol.js';

export interface ServerOptions {
  /** The descriptor that it listens on. */
  readonly descriptor: number;
  /** The descriptor that holds the lock: as long as it is open nobody else starts a server for this installation. */
  readonly lock: number;
  /** Where clients find it. */
  readonly path: string;
  /** What clients know it by: `identityOf` at the time it was started. */
  readonly identity: string;
  /** How long it waits for the next client; by default `patience`. */
  readonly idleMs?: number;
  /** Resident bytes with which no further client is taken. */
  readonly mostBytes?: number;
}

/** The file whose state tells whether the installation is still the same: it is written anew whenever kcc is. */
export const mainFile: string = fileURLToPath(new URL('../cli/kcc-server.js', import.meta.url));

/** Names this state of the installation, as the client does (runtime/kcc/server.c). */
export function identityOf(file: string = mainFile): string {
  const s = statSync(file, { bigint: true });
  return `kcc ${protocolVersion} ${file} ${s.dev} ${s.ino} ${s.size} ${s.ctimeNs}`;
}

function isUnchanged(identity: string): boolean {
  try {
    return identityOf() === identity;
  } catch {
    return false;
  }
}

/**
 * Milliseconds that a server waits for the next client. One that has compiled a hundred files is twice as fast as one that has just
 * started, so it outlives the time between two builds of somebody who writes and tries; but not with much memory.
 */
function patience(): number {
  return process.memoryUsage.rss() > 1 << 29 ? 60_000 : 600_000;
}

/** Serves until there is nothing left to serve. */
export function serve(options: ServerOptions): Server {
  const { mostBytes = 1 << 30 } = options;
  const sockets = new Set<Socket>();
  let idle: NodeJS.Timeout | undefined;
  let retired = false;

  const retire = (): void => {
    if (retired) return;
    retired = true;
    // Nobody can come any more before the queue is closed: who has, sees its connection end and goes on without.
    try {
      unlinkSync(options.path);
    } catch {
      // Somebody has cleaned up.
    }
    closeSync(options.lock);
    server.close();
  };
  const rest = (): void => {
    if (sockets.size > 0) return;
    if (process.memoryUsage.rss() > mostBytes || !isUnchanged(options.identity)) retire();
    else idle = setTimeout(retire, options.idleMs ?? patience());
  };

  const server = createServer((socket) => {
    clearTimeout(idle);
    sockets.add(socket);
    socket.on('close', () => {
      sockets.delete(socket);
      rest();
    });
    const client = connectClient(socket);
    const answer = async (): Promise<void> => {
      const { identity, words, caller } = await client.hello;
      if (identity !== options.identity || !isUnchanged(identity)) {
        socket.destroy();
        retire();
        return;
      }
      client.exit(await runKcc(words, caller));
    };
    answer().catch(() => socket.destroy());
  });
  server.on('error', () => process.exit(1));
  server.listen({ fd: options.descriptor });
  rest();
  // What it will need is loaded before the first text comes.
  void import('../rewrite/index.js');
  return server;
}
