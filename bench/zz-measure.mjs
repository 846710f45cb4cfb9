import { mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { startBareFastify } from './subjects.mjs';
import { freePort, runLoad, startServer } from './systems.mjs';
import { nodeFlags } from '../scripts/lib/node-flags.mjs';
const flags = [...nodeFlags, ...(process.env.NODE_FLAGS ?? '').split(' ').filter(Boolean)];
const rialto = await startServer('rialto', [...flags, 'dist/main.js'], { DATA_DIR: mkdtempSync('/tmp/c-measure-'), PORT: String(await freePort()), ...(process.env.LOG_LEVEL && { LOG_LEVEL: process.env.LOG_LEVEL }) });
const accounts = 1000;
const threads = (s) => Object.fromEntries(readdirSync(`/proc/${s.pid}/task`).map((t) => { const [head, rest] = readFileSync(`/proc/${s.pid}/task/${t}/stat`, 'utf8').split(') '); const f = rest.split(' '); return [t + head.slice(head.indexOf('(')), [Number(f[11]), Number(f[12])]]; }));
const cpu = (s) => { const f = readFileSync(`/proc/${s.pid}/stat`, 'utf8').split(') ')[1].split(' '); return (Number(f[11]) + Number(f[12])) * 10_000; };
const job = (s, traffic, more) => runLoad({ host: s.host, port: s.port, accounts, connections: 128, run: `${process.pid}`, traffic, ...more });
await fetch(`http://${rialto.host}:${rialto.port}/v1/ledgers/bench/accounts`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"accountId":"world","currency":"EUR","overdraft":"unlimited"}' });
await job(rialto, 'openAccounts', { count: accounts });
await job(rialto, 'fund', { count: 1, items: 1000, connections: 1 });
const one = await (await fetch(`http://${rialto.host}:${rialto.port}/v1/ledgers/bench/accounts/a0`)).json();
console.log(JSON.stringify(one));
const bare = await startBareFastify('/v1/ledgers/:ledger/accounts/:id', 'accountId', 'a', accounts, one);
for (let round = 0; round < Number(process.env.ROUNDS ?? 3); round++) {
  const r = {};
  for (const s of round % 2 ? [rialto, bare] : [bare, rialto]) {
    const before = cpu(s); const tb = threads(s);
    const result = await job(s, 'read', { warmMs: 1000, measureMs: 3000 });
    const us = (cpu(s) - before) / (result.perSecond * 4);
    r[s === bare ? 'bare' : 'rialto'] = result.perSecond; console.log(s.name ?? 'rialto', Object.entries(threads(s)).map(([t, [u, k]]) => [t, ((u - (tb[t]?.[0] ?? 0)) * 1e4 / (result.perSecond * 4)).toFixed(1), ((k - (tb[t]?.[1] ?? 0)) * 1e4 / (result.perSecond * 4)).toFixed(1)]).filter(([, u, k]) => +u + +k > 0.3).map((x) => x.join(' ')).join('; ')); r[s === bare ? 'bareUs' : 'rialtoUs'] = us;
    if (result.failures) console.log(result);
  }
  console.log(r, 'ratio', r.rialto / r.bare, 'cpu', r.bareUs / r.rialtoUs);
}
console.log((await (await fetch(`http://${rialto.host}:${rialto.port}/metrics`)).text()).split('\n').filter((l) => l.startsWith('rialto_cache')).join('\n'));
await rialto.stop(); await bare.stop();
process.exit(0);
