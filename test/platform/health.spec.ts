import { after, HttpClient, LedgerClient } from '../support/client.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type RialtoServer, startRialto } from '../support/server.js';

describe('A process with an event in its log that it does not know', () => {
  let database: TestDatabase;
  let server: RialtoServer;
  let http: HttpClient;

  beforeAll(async () => {
    database = await createTestDatabase();
    server = await startRialto(database.url);
    http = new HttpClient(server);
  });

  afterAll(async () => {
    http?.close();
    await server?.kill();
    await database?.drop();
  });

  const degraded = async () => (await http.get('/health/ready')).body.details.projections.degraded as { consumer: string }[] | undefined;

  test('is ready, says which views it degrades, serves everything else, and goes on when the event is known', async () => {
    const [here, elsewhere] = ['here', 'elsewhere'].map((name) => new LedgerClient(http, name)) as [LedgerClient, LedgerClient];
    const opened = await here.openSource('world');
    await here.openAccount('alice');
    await elsewhere.openSource('world');
    const [partition] = String(opened.headers['consistency-token']).split('@');
    const { rows } = await database.pool.query(
      `WITH p AS (UPDATE partitions SET head = head + 1, revision = revision + 1 WHERE partition = $1 RETURNING head)
       INSERT INTO events (partition, position, stream, version, type, data, metadata, recorded_at)
       SELECT $1, head, 'account/here/bob', 1, 'ledger.account-renamed.v9',
         '{"ledger": "here", "accountId": "bob", "currency": "EUR", "overdraft": "none"}', '{}', now() FROM p RETURNING position::int`,
      [partition],
    );
    const { position } = rows[0];
    // Every module's views read every event: whichever they are, none gets past this one.
    const all = await database.pool.query<{ consumer: string }>('SELECT DISTINCT consumer FROM checkpoints ORDER BY consumer');
    const consumers = all.rows.map(({ consumer }) => consumer);
    expect(consumers).toContain('ledger-accounts');
    const views = await eventually(degraded, (list) => list?.length === consumers.length);
    expect(views).toEqual(
      consumers.map((consumer) =>
        expect.objectContaining({ consumer, partition: Number(partition), position, type: 'ledger.account-renamed.v9', error: expect.stringContaining('no module knows') }),
      ),
    );
    expect((await http.get('/health/ready')).status).toBe(200);
    const transfer = await elsewhere.openAccount('carol');
    expect((await elsewhere.account('carol', '', after(transfer))).status).toBe(200);
    expect((await here.account('world')).status).toBe(200);

    await database.pool.query(`UPDATE events SET type = 'ledger.account-opened.v1' WHERE type = 'ledger.account-renamed.v9'`);
    await database.pool.query(`UPDATE checkpoints SET retry_at = now() - interval '1 ms' WHERE failed_position IS NOT NULL`);
    await eventually(degraded, (list) => list === undefined);
    const last = await here.transfer('world', 'bob', '1');
    expect((await here.account('bob', '', after(last))).body.balance).toBe('1');
  });
});

describe('A process whose database goes away after it was prepared', () => {
  test('waits for it once more, and begins', async () => {
    const database = await createTestDatabase();
    // As a server that restarts says it, at the first two of the statements that come when the migrations are done.
    await database.pool.query(`
      CREATE SEQUENCE attempts;
      CREATE FUNCTION be_away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('attempts') <= 2 THEN RAISE 'the database system is starting up' USING ERRCODE = '57P03'; END IF;
        RETURN NULL;
      END $$;
      CREATE TRIGGER be_away BEFORE INSERT ON checkpoints FOR EACH STATEMENT EXECUTE FUNCTION be_away()`);
    const server = await startRialto(database.url);
    try {
      const http = new HttpClient(server);
      expect((await http.get('/health/ready')).status).toBe(200);
      http.close();
      expect(server.log).toContain('the database can not be used yet; trying again');
    } finally {
      await server.kill();
      await database.drop();
    }
  });
});
