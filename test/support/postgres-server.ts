import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../src/platform/database/embedded-postgres.js';
import { CLUSTER } from '../../src/platform/database/postgres-installation.js';

export interface PostgresServer {
  /** Of an empty database. Stays the same across crash and start, unless somebody takes the port. */
  readonly url: string;
  /** Its directory of data, configuration and write-ahead log. */
  readonly clusterDir: string;
  /** Ends the server at once, without a checkpoint: the next start must recover what was committed. */
  crash(): Promise<void>;
  /** Ends the server cleanly. */
  shutDown(): Promise<void>;
  start(): Promise<void>;
  /** For good: the data goes too. */
  stop(): Promise<void>;
}

/** A PostgreSQL of the test's own, with default durability, to be crashed. */
export async function startPostgresServer(settings: Record<string, string> = {}, parent = tmpdir()): Promise<PostgresServer> {
  const dataDir = await mkdtemp(join(parent, 'rialto-server-'));
  await chmod(dataDir, 0o755); // Root runs the server as another user.
  let server = await startEmbeddedPostgres({ dataDir, settings });
  return {
    get url() {
      return server.url;
    },
    get clusterDir() {
      return join(server.dataDir, CLUSTER, 'data');
    },
    shutDown: () => server.stop('fast'),
    crash: () => server.stop('immediate'),
    async start() {
      server = await startEmbeddedPostgres({ dataDir, settings });
    },
    async stop() {
      await server.stop('immediate');
      // Two places, if root's other user could not reach the first.
      for (const path of [server.dataDir, dataDir]) await rm(path, { recursive: true, force: true });
    },
  };
}
