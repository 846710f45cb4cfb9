import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../config.js';
import { Api } from './client/api.js';
import { clientTool, onInterrupt, withProgress } from './client/client-tool.js';
import { Display } from './flash-sale/display.js';
import { Killer } from './flash-sale/killer.js';
import { OwnServer } from './flash-sale/own-server.js';
import { report, type Run } from './flash-sale/report.js';
import { Sale, type SalePlan } from './flash-sale/sale.js';
import { judge, type SaleFacts } from './flash-sale/verdict.js';
import { readOptions, UsageError, wholeNumber } from './tool/arguments.js';

const usage = `Usage: npm run flash-sale -- [--units 100] [--buyers 10000] [--chaos] [--connections 1000]
                             [--url <server>] [--name <sale>]

Sells few units to many buyers who all order at once, and proves that nothing went wrong; exit code 1 if something did.
Without --url it starts a Rialto of its own with an empty database, and leaves nothing behind; --chaos kills that one
again and again while the sale goes on. --name is the id of product and ledger; by default nobody has used it yet.`;

/** So long a buyer keeps asking a server that does not answer. */
const patienceSeconds = 120;
/** So long views may take to have caught up before what they show counts. */
const viewsCatchUpMs = 20_000;

const auditProgram = fileURLToPath(new URL('audit.js', import.meta.url));

await clientTool(usage, async () => {
  const values = readOptions({
    units: { type: 'string', default: '100' },
    buyers: { type: 'string', default: '10000' },
    chaos: { type: 'boolean', default: false },
    connections: { type: 'string', default: '1000' },
    url: { type: 'string' },
    name: { type: 'string', default: `flash-sale-${Date.now().toString(36)}` },
  });
  if (values.chaos && values.url !== undefined) throw new UsageError('--chaos kills only a server of its own: leave out --url');
  const plan = {
    name: values.name,
    units: wholeNumber('units', values.units, 1, 1_000_000),
    buyers: wholeNumber('buyers', values.buyers, 1, 1_000_000),
  };
  const connections = wholeNumber('connections', values.connections, 1, 10_000);

  if (values.url !== undefined) {
    const { databaseUrl } = readConfig(process.env);
    const api = new Api(values.url, { connections, patienceSeconds });
    return hold(plan, api, databaseUrl === undefined ? async () => 'skipped' : runAudit);
  }
  process.stderr.write('Starting a Rialto with an empty database …\n');
  const server = new OwnServer();
  onInterrupt(() => server.stop());
  try {
    await server.start();
    const api = new Api(server.url, { connections, patienceSeconds });
    // Nobody answers any more, so nobody has to go on asking.
    server.failure.catch(() => api.close());
    const held = hold(plan, api, () => runAudit(server.environment), values.chaos ? server : undefined);
    return await Promise.race([held, server.failure]);
  } finally {
    await server.stop();
  }
});

/** Prepares the sale, lets it happen, and reports. Resolves with the exit code. */
async function hold(plan: SalePlan, api: Api, audit: () => Promise<SaleFacts['audit']>, victim?: OwnServer): Promise<number> {
  try {
    const sale = new Sale(api, plan);
    process.stdout.write(`${plan.name}: ${plan.units} units for ${plan.buyers} buyers, at ${api.url}\n`);
    await withProgress('Preparing', 2 * plan.buyers, (advance) => sale.prepare(advance));
    const retriesBefore = api.retries;
    const run = await runSale(sale, victim, () => api.retries - retriesBefore);
    const facts = { ...(await settledFacts(sale)), audit: await audit() };
    const verdict = judge(facts);
    process.stdout.write(`\n${report(facts, verdict, run)}\n`);
    return verdict.wrongs.length === 0 ? 0 : 1;
  } finally {
    await api.close();
  }
}

async function runSale(sale: Sale, victim: OwnServer | undefined, retries: () => number): Promise<Run> {
  const killer = victim && new Killer(victim, sale.requests);
  const display = new Display(sale.requests, () => ({ retries: retries(), kills: victim?.kills }));
  try {
    await sale.run({
      answered(...answer) {
        display.count(...answer);
        killer?.answered(display.answered);
      },
    });
  } finally {
    display.stop();
  }
  const run = { seconds: display.seconds, waitedMs: display.waitedMs, retries: retries(), kills: victim?.kills };
  await killer?.rest();
  return run;
}

/** What looks wrong may be a view that is a moment behind: then it is looked at again, for a while. */
async function settledFacts(sale: Sale): Promise<SaleFacts> {
  for (const until = performance.now() + viewsCatchUpMs; ; await sleep(250)) {
    const facts: SaleFacts = { ...(await sale.facts()), audit: 'skipped' };
    if (judge(facts).wrongs.length === 0 || performance.now() > until) return facts;
  }
}

/** Runs `npm run audit` on the database; in this process's environment, or in another one. */
async function runAudit(env?: Record<string, string>): Promise<'clean' | 'broken'> {
  const child = spawn(process.execPath, ['--enable-source-maps', auditProgram], { ...(env && { env }), stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code === 0) return 'clean';
  process.stderr.write(output);
  return 'broken';
}
