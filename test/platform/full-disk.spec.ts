import { setTimeout as sleep } from 'node:timers/promises';
import { UnavailableError } from '../../src/platform/errors.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { answerOf, count, startWriter, type TestWriter } from './counters.js';

/** What PostgreSQL says when it runs out of disk, of memory, or the disk fails, while it has not ended because of it. */
describe.each(['disk_full', 'out_of_memory', 'io_error'])('A database that says %s', (condition) => {
  let database: TestDatabase;
  let process: TestWriter;

  beforeEach(async () => {
    database = await createTestDatabase();
    process = startWriter(database.url);
    await process.execute(count('a'));
    await database.pool.query(`
      CREATE TABLE trouble (reason text);
      INSERT INTO trouble VALUES ('any');
      CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM trouble) THEN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '${condition}'; END IF;
        RETURN NEW;
      END $$;
      CREATE TRIGGER give_up BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION give_up()`);
  });

  afterEach(async () => {
    await process.close();
    await database.drop();
  });

  test('is tried again, and takes the command once it has room', async () => {
    const counted = process.execute(count('a', 2));
    await sleep(100);
    await database.pool.query('DELETE FROM trouble');
    expect(answerOf(await counted)).toBe(3);
  });

  test('is away for all who wait, when that goes on: not a fault of what they sent', async () => {
    const outcomes = await Promise.allSettled([count('a'), count('b'), count('c')].map((one) => process.execute(one)));
    for (const outcome of outcomes) {
      expect(outcome.status).toBe('rejected');
      expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(UnavailableError);
    }
    await database.pool.query('DELETE FROM trouble');
    expect(await Promise.all(['a', 'b', 'c'].map((name) => process.value(name)))).toEqual([1, 0, 0]);
  });
});
