import type pg from 'pg';
import { createTestPool } from '../support/database.js';
import { type PostgresServer, startPostgresServer } from '../support/postgres-server.js';
import { type RialtoServer, startRialto } from '../support/server.js';
import { Load, nothing, scale } from './load.js';

const kills = Math.round(20 * scale);
const crashes = Math.round(5 * scale);

jest.setTimeout(240_000 * Math.max(1, scale));

describe('Under load', () => {
  let postgres: PostgresServer;
  let server: RialtoServer;
  let load: Load;
  let pool: pg.Pool;

  beforeAll(async () => {
    postgres = await startPostgresServer();
    server = await startRialto(postgres.url);
    pool = createTestPool(postgres.url);
    load = new Load([server]);
    await load.openAccounts();
  });

  afterAll(async () => {
    load?.close();
    await server?.kill();
    await pool?.end();
    await postgres?.stop();
  });

  test(`nothing acknowledged is lost and nothing is done twice when the process is killed ${kills} times`, async () => {
    load.begin();
    for (let kill = 0; kill < kills; kill++) {
      await load.progress(50 + kill * 10);
      await server.kill();
      await server.start();
    }
    await load.end();
    await load.askAgain();
    expect(await load.wrongs(pool)).toEqual(nothing);
  });

  test(`nor when PostgreSQL crashes ${crashes} times`, async () => {
    load.begin();
    for (let crash = 0; crash < crashes; crash++) {
      await load.progress(100);
      await postgres.crash();
      await postgres.start();
    }
    await load.progress(100);
    await load.end();
    await load.askAgain();
    expect(await load.wrongs(pool)).toEqual(nothing);
    expect(server.isRunning).toBe(true);
    // What it says of the broken connections is what broke, not all they had in them.
    expect(server.log).not.toContain('connectionParameters');
  });
});
