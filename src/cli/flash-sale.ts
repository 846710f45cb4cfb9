import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../config.js';
import { Api } from './client/api.js';
import { clientTool, readArguments, UsageError, wholeNumber, withProgress } from './client/client-tool.js';
import { Display } from './flash-sale/display.js';
import { Killer } from './flash-sale/killer.js';
import { OwnServer } from './flash-sale/own-server.js';
import { report } from './flash-sale/report.js';
import { Sale, type SaleEvents, type SalePlan } from './flash-sale/sale.js';
import { judge, type SaleFacts } from './flash-sale/verdict.js';

const usage = `Usage: npm run flash-sale -- [--units 100] [--buyers 10000] [--chaos] [--connections 1000]
                             [--url http://127.0.0.1:3000] [--name <sale>]

Sells few units to many buyers who all order at once, and proves that nothing went wrong; exit code 1 if something did.
Without --url it starts a Rialto of its own with an empty database, and leaves nothing behind; --chaos kills that one
again and again while the sale goes on. --name is the id of product and ledger; by default nobody has used it yet.`;

/** So long views may take to have caught up before what they show counts. */
const viewsCatchUpMs = 20_000;

const audit = fileURLToPath(new URL('audit.js', import.meta.url));

await clientTool(usage, async () => {
  const { values, positionals } = readArguments({
    units: { type: 'string', default: '100' },
    buyers: { type: 'string', default: '10000' },
    chaos: { type: 'boolean', default: false },
    connections: { type: 'string', default: '1000' },
    url: { type: 'string' },
    name: { type: 'string', default: `flash-sale-${Date.now().toString(36)}` },
  });
  if (positionals.length > 0) throw new UsageError(`What is ${positionals.join(' ')}?`);
  if (values.chaos && values.url !== undefined) throw new UsageError('--chaos kills only a server of its own: leave out --url');
  const plan = {
    name: values.name,
    units: wholeNumber('units', values.units, 1, 1_000_000),
    buyers: wholeNumber('buyers', values.buyers, 1, 1_000_000),
  };
  const connections = wholeNumber('connections', values.connections, 1, 10_000);

  if (values.url !== undefined) {
    const { databaseUrl } = readConfig(process.env);
    return hold(plan, values.url, connections, databaseUrl === undefined ? undefined : runAudit);
  }
  process.stderr.write('Starting a Rialto with an empty database …\n');
  const server = await OwnServer.start();
  // Ctrl-C leaves nothing behind either.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.stop().finally(() => process.exit(130)));
  try {
    return await hold(plan, server.url, connections, () => runAudit({ DATABASE_URL: server.databaseUrl }), values.chaos ? server : undefined);
  } finally {
    await server.stop();
  }
});

async function hold(
  plan: SalePlan,
  url: string,
  connections: number,
  auditDatabase: (() => Promise<'clean' | 'broken'>) | undefined,
  victim?: OwnServer,
): Promise<number> {
  const api = new Api(url, { connections, patienceSeconds: 120 });
  try {
    const sale = new Sale(api, plan);
    process.stdout.write(`${plan.name}: ${plan.units} units for ${plan.buyers} buyers, at ${url}\n`);
    await withProgress('Preparing', 2 * plan.buyers, (advance) => sale.prepare(advance));
    const before = api.retries;
    const trouble = () =>
      [api.retries > before && `sent again ${api.retries - before}`, victim && `killed ${victim.kills}`].filter(Boolean).map((text) => ` | ${text}`).join('');
    const killer = victim && new Killer(victim, sale.requests);
    const display = new Display(sale.requests, trouble);
    const answered: SaleEvents['answered'] = (...answer) => {
      display.count(...answer);
      killer?.answered(display.answered);
    };
    await Promise.race([sale.run({ answered }), ...(killer ? [killer.failure] : [])]).finally(() => display.stop());
    const { seconds } = display;
    await killer?.rest();

    let facts: SaleFacts = { ...(await sale.facts()), audit: 'skipped' };
    // What looks wrong may be a view that is a moment behind.
    for (const until = performance.now() + viewsCatchUpMs; judge(facts).wrongs.length > 0 && performance.now() < until; ) {
      await sleep(250);
      facts = { ...(await sale.facts()), audit: 'skipped' };
    }
    if (auditDatabase) facts = { ...facts, audit: await auditDatabase() };
    const verdict = judge(facts);
    const run = { seconds, waitedMs: display.waitedMs, retries: api.retries - before, kills: victim?.kills };
    process.stdout.write(`\n${report(facts, verdict, run)}\n`);
    return verdict.wrongs.length === 0 ? 0 : 1;
  } finally {
    await api.close();
  }
}

/** Runs `npm run audit` on the database; in this process's environment, or in another one. */
async function runAudit(env?: Record<string, string>): Promise<'clean' | 'broken'> {
  const child = spawn(process.execPath, ['--enable-source-maps', audit], { ...(env && { env }), stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code === 0) return 'clean';
  process.stderr.write(output);
  return 'broken';
}
