import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { root } from './prepare.mjs';

const REPEAT_WINDOW_MS = 1_000;
const PARENT_POLL_MS = 200;
const PARENT = process.ppid;
const FOLLOWER = new URL('./follow-parent.mjs', import.meta.url).href;

/**
 * Runs a Node program in this terminal and ends as it ends.
 *
 * Ctrl-C reaches every process of the terminal's group, and npm passes it on once more. So the program gets a
 * group of its own, where only we signal it, and a repetition within a second counts as the same signal; a
 * later one is passed on, for those who mean it. A program in a group of its own would survive a `kill -9` of
 * ours, which follow-parent.mjs prevents.
 */
export function supervise(args) {
  const child = spawn(process.execPath, ['--import', FOLLOWER, ...args], {
    cwd: root,
    detached: process.platform !== 'win32',
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, RIALTO_PARENT_FD: '3' },
  });
  child.stdio[3].on('error', () => {});
  let lastSignalAt = -Infinity;
  const forward = (signal) => {
    const now = performance.now();
    if (now - lastSignalAt > REPEAT_WINDOW_MS) child.kill(signal);
    lastSignalAt = now;
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => forward(signal));
  // The terminal was closed: for the program that is a request to stop like any other.
  process.on('SIGHUP', () => forward('SIGTERM'));
  // npm runs us through a shell. Asked to stop, it stops that shell, and many a shell does not pass that on.
  const followParent = () => {
    if (process.ppid === PARENT) return;
    clearInterval(following);
    forward('SIGTERM');
  };
  const following = process.env.npm_lifecycle_event && setInterval(followParent, PARENT_POLL_MS);
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
