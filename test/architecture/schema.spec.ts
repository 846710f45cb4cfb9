import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../support/command.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { dumpSchema } from '../support/schema-dump.js';

const file = join(root, 'test/schema.sql');
const header = `-- What the migrations make of an empty database. Not run by anything: it is here to be read in a diff.
-- After a new migration: UPDATE_SCHEMA=true npm test -- test/architecture/schema

`;

describe('test/schema.sql', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database?.drop());

  it('is what the migrations make of an empty database', async () => {
    const schema = header + (await dumpSchema(database.pool));
    if (process.env.UPDATE_SCHEMA === 'true') await writeFile(file, schema);
    expect(schema).toBe(await readFile(file, 'utf8'));
  });
});
