import { Socket } from 'node:net';

// Loaded before the program that supervise.mjs runs. The other end of this pipe closes when the supervisor
// ends, which it only does before the program if it was killed without a chance to say so; then the program
// is to be killed too.
const fd = Number(process.env.RIALTO_PARENT_FD);
delete process.env.RIALTO_PARENT_FD; // The program's own children inherit --import, but not the pipe.
if (fd) {
  const parent = new Socket({ fd });
  parent.on('error', () => {});
  parent.on('close', () => process.kill(process.pid, 'SIGKILL'));
  parent.resume();
  parent.unref();
}
