import { readFileSync, readdirSync } from 'node:fs';
import os from 'node:os';

/** What Linux says about processes. Elsewhere the figures that need it say that they could not be taken. */
export const hasProc = process.platform === 'linux';
/** Kernel clock ticks a second as /proc reports them: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

export function residentMb(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1_024;
}

/** The fields of /proc/<pid>/stat after the command name, which may hold spaces. Undefined: it is gone. */
function stat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** CPU seconds that a process has used, with those of its children that have ended when `andEnded`. */
export function cpuSeconds(pid, andEnded = false) {
  const fields = stat(pid);
  if (fields === undefined) return 0;
  const [user, system, endedUser, endedSystem] = fields.slice(11, 15).map(Number);
  return (user + system + (andEnded ? endedUser + endedSystem : 0)) / ticksPerSecond;
}

/** CPU seconds of a server process, and of PostgreSQL: helpers and backends, also those that ended. */
export function cpuOfSystem(serverPid, postmasterPid) {
  const children = readdirSync('/proc').filter((pid) => stat(pid)?.[1] === String(postmasterPid));
  const postgres = children.reduce((sum, pid) => sum + cpuSeconds(pid), cpuSeconds(postmasterPid, true));
  return { server: cpuSeconds(serverPid), postgres };
}

export function machineFacts(postgresVersion) {
  const cpus = os.cpus();
  return [
    ['CPU', `${cpus[0]?.model.trim() ?? 'unknown'}, ${cpus.length} cores`],
    ['Memory', `${Math.round(os.totalmem() / 2 ** 30)} GB`],
    ['System', `${os.type()} ${os.release()}`],
    ['Node', process.version],
    ['PostgreSQL', postgresVersion],
    ['Date', new Date().toISOString().slice(0, 10)],
  ];
}
