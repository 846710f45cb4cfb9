import { setTimeout as sleep } from 'node:timers/promises';
import { check, type Checked } from './check.js';
import { Dice } from './dice.js';
import { faultKinds, torment, type FaultKind } from './faults.js';
import { allIsDone, readFinalState } from './final-state.js';
import { Recorder, type Fault, type History } from './history.js';
import { System, type TopologyName } from './system.js';
import { violation, type Violation } from './violation.js';
import { type Door, Workload } from './workload.js';

export interface Plan {
  readonly seed: string;
  /** Repeats the run. */
  readonly command: string;
  readonly topology: TopologyName;
  /** How long there are faults. */
  readonly faultsMs: number;
  /** How long there are none, before: what they are compared with. */
  readonly calmMs: number;
  readonly clients: number;
  readonly hotPercent: number;
  /** Which faults: those whose names begin like one of these; all when there are none. */
  readonly faults: readonly string[];
  /** Where the history goes, as JSON lines. */
  readonly historyPath?: string;
  readonly log: (line: string) => void;
}

export interface Ran {
  readonly history: History;
  readonly checked: Checked;
  /** What faults needed and this machine has not got. */
  readonly missing: readonly string[];
}

const doneWithinMs = 60_000;

/**
 * One run, in two phases as TigerBeetle's simulator has them: safety, under faults; then everything is healed, and
 * liveness: whatever was asked for gets an answer, and all that follows from it is done, within a bound. Then the history
 * and the database are checked.
 */
export async function run(plan: Plan): Promise<Ran> {
  const { seed, log } = plan;
  const diceOf = (name: string) => new Dice(`${seed} ${name}`);
  const system = await System.start(plan.topology);
  const recorder = new Recorder({ seed, command: plan.command }, plan.historyPath);
  const workload = new Workload(recorder, doorsOf(system), plan, diceOf);
  const found: Violation[] = [];
  try {
    await workload.open();
    workload.begin();
    await sleep(plan.calmMs);
    const ending = AbortSignal.timeout(plan.faultsMs);
    await torment(system, kindsOf(plan.faults), diceOf('faults'), ending, (kind, { target, details }) => {
      const healed = recorder.beginFault(kind.name, target, details);
      const say = (more: Fault['details']) => log([seconds(recorder.nowMs()), kind.name, target, ...(more ? [JSON.stringify(more)] : [])].join(' '));
      say(details);
      return (more) => {
        healed(more);
        if (more) say(more);
      };
    });
    const healedAtMs = recorder.nowMs();
    recorder.end();
    for (const { name, process } of system.nodes) {
      if (process.isRunning) continue;
      found.push(violation('C12', `${name} has ended though nobody told it to: ${process.output.slice(-2_000)}`));
      await process.start();
    }
    await workload.end();
    log(`${seconds(recorder.nowMs())} all is healed; asking again about what nobody knows`);
    await workload.resolve(healedAtMs + doneWithinMs);
    const waited = recorder.nowMs() - healedAtMs;
    const settled = await allIsDone(system.pool, Math.max(1_000, doneWithinMs - waited));
    const doneAfterMs = settled === undefined ? undefined : waited + settled;
    await workload.lookAround();
    // A reservation that expires meanwhile is no work left undone, only work.
    let state = await readFinalState(system.pool);
    while (state.work.lagEvents > 0 && recorder.nowMs() < healedAtMs + doneWithinMs) state = await readFinalState(system.pool);
    const history = recorder.history();
    const checked = check(history, state, doneAfterMs);
    return { history, checked: { ...checked, violations: [...found, ...checked.violations] }, missing: system.missing };
  } finally {
    workload.close();
    await recorder.close();
    await system.stop();
  }
}

/** Clients ask nodes, and nginx where there is one. */
function doorsOf({ nodes, edge }: System): Door[] {
  const serves = { all: 'all', command: 'writes', query: 'reads' } as const;
  const doors: Door[] = nodes.map(({ name, role, url }) => ({ name, url, serves: serves[role] }));
  return edge ? [...doors, { name: 'nginx', url: edge.url, serves: 'all' }] : doors;
}

function kindsOf(names: readonly string[]): readonly FaultKind[] {
  if (names.length === 0) return faultKinds;
  const kinds = faultKinds.filter(({ name }) => names.some((one) => name.startsWith(one)));
  if (kinds.length === 0) throw new Error(`there is no fault whose name begins with ${names.join(' or ')}: there are ${faultKinds.map(({ name }) => name).join(', ')}`);
  return kinds;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1).padStart(7)} s`;
}
