import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/platform/database/embedded-postgres.js';
import type { EmbeddedPostgres } from '../../src/platform/database/embedded-postgres.js';
import { isMigrated } from '../../src/platform/database/is-migrated.js';
import { migrateApart } from '../../src/platform/database/migrate-apart.js';
import { migrate } from '../../src/platform/database/migrate.js';
import { classify } from '../../src/platform/log/failures.js';
import { migrations } from '../../src/migrations/index.js';
import { root } from '../support/command.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { untilPasses } from '../support/eventually.js';
import { type PostgresServer, startPostgresServer } from '../support/postgres-server.js';

describe('The embedded PostgreSQL', () => {
  let dataDir: string;
  let running: EmbeddedPostgres[];

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'rialto-embedded-'));
    await chmod(dataDir, 0o755);
    running = [];
  });

  afterEach(async () => {
    for (const server of running) await server.stop('immediate');
    await rm(dataDir, { recursive: true, force: true });
  });

  const start = async (log: (line: string) => void = () => {}) => {
    const server = await startEmbeddedPostgres({ dataDir, log });
    running.push(server);
    return server;
  };

  test('keeps the memory of a statement for the next one, instead of getting it from the system each time', async () => {
    const client = new pg.Client({ connectionString: (await start()).url });
    await client.connect();
    const { pid } = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!;
    const sort = async () => {
      await client.query(`select count(*) from (select repeat('x', 100) || n as t from generate_series(1, 4000) n order by 1 offset 0) s`);
      const [, stat] = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ');
      return Number(stat!.split(' ')[7]); // minflt, of proc_pid_stat(5): the pages it was given.
    };
    for (let warm = 0; warm < 10; warm++) await sort();
    const before = await sort();
    const after = await sort();
    await client.end();
    expect(after - before).toBeLessThan(10);
  });

  test('is durable, asks for its password, and keeps data and address over a restart', async () => {
    const first = await start();
    const settings = await query(
      first.url,
      `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as synchronous_commit,
        current_setting('listen_addresses') as listen_addresses,
        current_setting('unix_socket_directories') as unix_socket_directories,
        pg_encoding_to_char(encoding) as encoding, datlocale
        from pg_database where datname = current_database()`,
    );
    expect(settings).toEqual([
      {
        fsync: 'on',
        synchronous_commit: 'on',
        listen_addresses: '127.0.0.1',
        unix_socket_directories: '',
        encoding: 'UTF8',
        datlocale: 'C.UTF-8',
      },
    ]);
    const guess = new URL(first.url);
    guess.password = 'postgres';
    await expect(query(guess.href, 'select 1')).rejects.toThrow('password authentication failed');

    await query(first.url, 'create table kept as select 42 as answer');
    await first.stop();
    await expect(query(first.url, 'select 1')).rejects.toThrow('ECONNREFUSED');

    const second = await start();
    expect(second.url).toBe(first.url);
    expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  });

  test('survives kill -9 of the process that started it, and is adopted by the next', async () => {
    const url = await startInAProcessThatIsKilled(dataDir);
    await query(url, 'create table kept as select 42 as answer');
    const [before] = await query(url, 'select pg_postmaster_start_time()::text as started_at');

    const lines: string[] = [];
    const adopted = await start((line) => lines.push(line));
    expect(lines).toEqual([expect.stringContaining('was already running')]);
    expect(adopted.url).toBe(url);
    const [after] = await query(url, 'select pg_postmaster_start_time()::text as started_at');
    expect(after).toEqual(before);

    await adopted.stop();
    await expect(query(url, 'select 1')).rejects.toThrow('ECONNREFUSED');
  });

  test('is started once by several at the same time, and stopped by the last', async () => {
    const servers = await Promise.all([start(), start(), start()]);
    expect(new Set(servers.map(({ url }) => url)).size).toBe(1);
    const { url } = servers[0]!;

    await servers[0]!.stop();
    await servers[1]!.stop();
    expect(await query(url, 'select 1 as alive')).toEqual([{ alive: 1 }]);
    await servers[2]!.stop();
    await expect(query(url, 'select 1')).rejects.toThrow('ECONNREFUSED');
  });

  test('begins again where an interrupted initialisation left half a cluster', async () => {
    const halfWay = await mkdtemp(join(dataDir, 'postgres.new-'));
    await writeFile(join(halfWay, 'password'), 'half');

    const { url } = await start();
    expect(await query(url, 'select 1 as alive')).toEqual([{ alive: 1 }]);
    expect(await readdir(dataDir)).toEqual(['postgres']);
  });

  test('is not fooled by a pid that belongs to somebody else since a crash', async () => {
    const crashed = await start();
    await query(crashed.url, 'create table kept as select 42 as answer');
    const pidFile = join(dataDir, 'postgres', 'data', 'postmaster.pid');
    const content = await readFile(pidFile, 'utf8');
    await crashed.stop('immediate');
    await writeFile(pidFile, content.replace(/^\d+/, String(process.pid)), { mode: 0o644 });

    const { url } = await start();
    expect(await query(url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  });

  test('says in its own words why it does not start', async () => {
    await (await start()).stop();
    const control = join(dataDir, 'postgres', 'data', 'global', 'pg_control');
    await rm(control);
    await expect(start()).rejects.toThrow(/does not start.*could not open file.*pg_control/s);
  });
});

describe('A server of the test’s own', () => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await startPostgresServer();
  });

  afterAll(() => server.stop());

  test('recovers what was committed when it crashes', async () => {
    const { url } = server;
    await query(url, 'create table kept as select 42 as answer');
    await server.crash();
    await expect(query(url, 'select 1')).rejects.toThrow('ECONNREFUSED');
    await server.start();
    expect(server.url).toBe(url);
    expect(await query(url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  });
});

describe('Migrating', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createTestDatabase();
  });

  afterEach(() => database.drop());

  const emptyDatabase = async () => {
    await database.pool.query('drop schema public cascade; create schema public');
  };

  test('finds a test database migrated', async () => {
    expect(await isMigrated(database.pool)).toBe(true);
  });

  test('is done once when several processes begin at the same time', async () => {
    await emptyDatabase();
    expect(await isMigrated(database.pool)).toBe(false);
    const lines: string[] = [];
    const log = (line: string) => lines.push(line);
    await Promise.all([1, 2, 3].map(() => migrate(database.url, { partitions: 3, log })));

    // Who waits for long says so, and two may.
    const migrated = lines.filter((line) => line.startsWith('Migrated: '));
    expect(migrated).not.toEqual([]);
    expect(new Set(migrated).size).toBe(migrated.length);
    expect(await isMigrated(database.pool)).toBe(true);
    const partitions = 'select count(*)::int as count from partitions';
    expect(await query(database.url, partitions)).toEqual([{ count: 3 }]);
    const locks = `select from pg_locks join pg_database d on d.oid = database
      where locktype = 'advisory' and datname = current_database()`;
    // A session that was ended is there until its process at the server comes to its end.
    await untilPasses(async () => expect(await query(database.url, locks)).toEqual([]));
  });

  describe('beside a server that starts', () => {
    const queryWhether = async (what: string) => (await query(database.url, `select ${what} as is`))[0];

    test('is done in another process, whose lines are passed on', async () => {
      await emptyDatabase();
      const lines: string[] = [];
      await Promise.all([1, 2].map(() => migrateApart(database.url, { partitions: 3, log: (line) => lines.push(line) })));
      expect(await isMigrated(database.pool)).toBe(true);
      expect(lines.filter((line) => line.startsWith('Migrated: '))).toHaveLength(migrations.length);
    });

    test('is not begun where there is nothing to do', async () => {
      const holder = await database.pool.connect();
      try {
        await holder.query('select pg_advisory_lock(7421907)');
        await migrateApart(database.url, { partitions: 16 });
      } finally {
        holder.release(true);
      }
    });

    test('ends with who began it', async () => {
      await emptyDatabase();
      const holder = await database.pool.connect();
      const script = join(await mkdtemp(join(tmpdir(), 'rialto-migrating-')), 'begin.mjs');
      const program = pathToFileURL(join(root, 'dist/platform/database/migrate-apart.js')).href;
      await writeFile(script, `import { migrateApart } from '${program}'; await migrateApart(process.argv[2], { partitions: 16 });`);
      const beginner = spawn(process.execPath, [script, database.url], { stdio: 'inherit' });
      const sessions = () => query(database.url, `select from pg_stat_activity where datname = current_database() and application_name = 'rialto migrate'`);
      try {
        await holder.query('select pg_advisory_lock(7421907)');
        await untilPasses(async () => expect(await sessions()).toHaveLength(1));
        beginner.kill('SIGKILL');
        await untilPasses(async () => expect(await sessions()).toEqual([]));
      } finally {
        beginner.kill('SIGKILL');
        holder.release(true);
        await rm(dirname(script), { recursive: true });
      }
    });

    test('makes the tables of the queues where only those are missing', async () => {
      await database.pool.query('drop schema bullmq cascade');
      await migrateApart(database.url, { partitions: 16, queuesAreHere: false });
      expect(await queryWhether(`to_regclass('bullmq.migration') is not null`)).toEqual({ is: false });
      await migrateApart(database.url, { partitions: 16 });
      expect(await queryWhether(`to_regclass('bullmq.migration') is not null`)).toEqual({ is: true });
    });

    test('fails in the words of who could not do it', async () => {
      await expect(migrateApart(database.url, { partitions: 4 })).rejects.toThrow('this database was created with 16');
      // It makes a function, which is there already: the database's own words, and its code.
      await database.pool.query(`delete from migrations where name = 'LockPartitions1700000000008'`);
      await expect(migrateApart(database.url, { partitions: 16 })).rejects.toMatchObject({
        code: '42723',
        message: expect.stringContaining('already exists'),
      });
    });

    test('says that the database is away as any statement does', async () => {
      const nowhere = new URL(database.url);
      nowhere.port = '1';
      const failure = await migrateApart(nowhere.href, { partitions: 16 }).catch((error: unknown) => error);
      expect(classify(failure)).toBe('unreachable');
    });
  });

  test('knows a migration that has not been applied', async () => {
    await database.pool.query('delete from migrations where id = (select max(id) from migrations)');
    expect(await isMigrated(database.pool)).toBe(false);
  });

  test('refuses a database with another number of partitions, and leaves it as it was', async () => {
    await database.pool.query('delete from migrations where id = (select max(id) from migrations)');
    const tables = `select count(*)::int as count from pg_class where relkind in ('r', 'p')`;
    const before = await query(database.url, tables);
    await expect(migrate(database.url, { partitions: 4 })).rejects.toThrow(
      'PARTITIONS is 4, but this database was created with 16, and that cannot be changed',
    );
    expect(await query(database.url, tables)).toEqual(before);
  });
});

async function query(url: string, sql: string): Promise<object[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function startInAProcessThatIsKilled(dataDir: string): Promise<string> {
  const module = pathToFileURL(join(process.cwd(), 'dist/platform/database/embedded-postgres.js')).href;
  const script = `
    const { startEmbeddedPostgres } = await import(${JSON.stringify(module)});
    const { url } = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)} });
    process.stdout.write(url);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [url] = await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  return String(url);
}
