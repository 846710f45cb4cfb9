import { cpuSeconds, hasProc } from '../machine.mjs';
import { startRialto } from '../subjects.mjs';

/**
 * What a start leaves behind is not what idling costs: V8 collects its garbage after 45 to 75 s, for 0.15 to 0.3 s of CPU. What
 * idling leaves behind is: by `--trace-gc` such a collection comes every 106 s, later every 220 s. A minute either has one, and
 * then it counts twice, or has none.
 */
const settleSeconds = 120;
const seconds = 120;

/** What a node that has nothing to do asks of PostgreSQL and of its core. */
export async function idle(bench) {
  const { postgres } = bench;
  if (!hasProc) throw new Error('needs /proc');
  await postgres.createDatabase('bench_idle');
  await postgres.query('bench_idle', `alter database bench_idle set log_statement = 'all'`);
  const rialto = await startRialto(postgres, 'bench_idle', 0);
  await new Promise((resume) => setTimeout(resume, settleSeconds * 1_000));
  const statementsBefore = postgres.loggedStatements();
  const cpuBefore = cpuSeconds(rialto.pid);
  await new Promise((resume) => setTimeout(resume, seconds * 1_000));
  const statements = (postgres.loggedStatements() - statementsBefore) / seconds;
  const core = ((cpuSeconds(rialto.pid) - cpuBefore) / seconds) * 100;
  await rialto.stop();
  const row = (figure, value, unit, most) => ({
    figure: `20 an idle node, ${figure}`,
    rialto: `${value.toFixed(1)}${unit}`,
    baseline: '-',
    asked: `≤ ${most}${unit}`,
    met: value <= most,
  });
  return [row('statements on PostgreSQL', statements, '/s', 5), row('of a core', core, ' %', 1)];
}
