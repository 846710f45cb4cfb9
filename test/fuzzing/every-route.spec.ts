import { HttpClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { type Document, type Operation, operationsOf } from './contract.js';
import { fuzz, type FuzzReport, type FuzzedServer, routesWithout } from './fuzz.js';

/** Fixed, so that a failure is the same for everybody; another one, and more requests, find more. */
const seed = Number(process.env.RIALTO_FUZZ_SEED ?? 20_260_131);
const requests = Number(process.env.RIALTO_FUZZ_REQUESTS ?? 8_000);
const again = `RIALTO_FUZZ_SEED=${seed} RIALTO_FUZZ_REQUESTS=${requests} npm test -- test/fuzzing`;
const minutesMax = 60;

/** Tokens that nobody has reached yet would be waited for, one request after the other. */
const env = { CONSISTENCY_WAIT_MS: '20' };

interface Fuzzed {
  readonly title: string;
  readonly roles: readonly FuzzedServer['role'][];
  database?: TestDatabase;
  servers: RialtoServer[];
  report?: FuzzReport;
}

const systems: Fuzzed[] = [
  { title: 'a process that does everything', roles: ['all'], servers: [] },
  { title: 'processes that only write and only read', roles: ['command', 'query'], servers: [] },
];

beforeAll(() => Promise.all(systems.map(run)), minutesMax * 60_000);

async function run(system: Fuzzed): Promise<void> {
  const database = (system.database = await createTestDatabase());
  system.servers = await Promise.all(system.roles.map((role) => startRialto(database.url, { ...env, ROLE: role })));
  const servers = system.servers.map(({ url }, index) => ({ url, role: system.roles[index]! }));
  system.report = await fuzz({ servers, databaseUrl: database.url, requests: Math.ceil(requests / systems.length), seed });
  console.log(`${system.title}: ${summaryOf(system.report)}`);
}

afterAll(async () => {
  for (const { servers, database } of systems) {
    await Promise.all(servers.map((server) => server.kill()));
    await database?.drop();
  }
});

describe.each(systems)('Whatever is sent to $title', (system) => {
  test('is answered as the document says, and a refusal changes nothing', () => {
    const found = system.report!.violations.map(({ route, what, request, times }) => `${route}: ${what} (${times} times)\n    ${request}`);
    if (found.length > 0) throw new Error(`${found.length} violations; again with: ${again}\n\n${found.join('\n\n')}`);
  });

  test('gets to the end of every route, and is refused by every route', async () => {
    const routes = await routesOf(system.servers[0]!);
    expect(routes.length).toBeGreaterThan(30);
    expect({
      neverDone: routesWithout(2, system.report!, routes),
      neverRefused: routesWithout(4, system.report!, routes),
    }).toEqual({ neverDone: [], neverRefused: [] });
    expect(system.report!.unchanged).toBeGreaterThan(system.report!.requests / 10);
  });

  test('leaves every process alive, well, and without an error in its log', async () => {
    for (const server of system.servers) {
      expect(server.isRunning).toBe(true);
      expect(server.log).not.toMatch(/"level":(50|60)/);
      const http = new HttpClient(server);
      for (const path of ['/health/live', '/health/ready']) expect((await http.get(path)).status).toBe(200);
      http.close();
    }
  });
});

async function routesOf(server: RialtoServer): Promise<Operation[]> {
  const http = new HttpClient(server);
  const document = (await http.get('/openapi.json')).body as Document;
  http.close();
  return operationsOf(document).filter(({ path }) => path.startsWith('/v1/'));
}

/** How many, how fast, and with which answers. */
function summaryOf({ requests: sent, statuses, unchanged, seconds }: FuzzReport): string {
  const byStatus = new Map<number, number>();
  for (const counts of statuses.values()) for (const [status, count] of counts) byStatus.set(status, (byStatus.get(status) ?? 0) + count);
  const answers = [...byStatus].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
  const rate = Math.round(sent / seconds);
  return `${sent} requests to ${statuses.size} routes in ${seconds.toFixed(1)} s (${rate}/s), ${unchanged} refusals seen to change nothing\n${answers.join(', ')}`;
}
