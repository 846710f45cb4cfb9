import { StartError } from '../errors.js';
import { createStartPool } from './pools.js';

/** What a server has room for, and who is there already. */
interface Room {
  /** Connections that this user may open to this database, if nobody else had any. */
  readonly limit: number;
  readonly used: number;
}

// A limit of -1 is none; `reserved_connections` came with PostgreSQL 16.
const roomSql = `
SELECT least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
      - coalesce(current_setting('reserved_connections', true)::int, 0),
    (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
  ) AS limit,
  (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS used`;

/**
 * Refuses to run with more connections than the server would ever grant: they would be missed at the worst moment, as
 * errors of requests under load. What others hold now may be gone then, or come back: it is only worth a warning.
 */
export async function checkConnections(url: string, needed: number, warn: (line: string) => void): Promise<void> {
  const pool = createStartPool(url);
  try {
    const [{ limit, used }] = (await pool.query<Room>(roomSql)).rows as [Room];
    if (needed > limit) {
      throw new StartError(
        `the processes of this machine need up to ${needed} connections, and the PostgreSQL server grants ${limit}: ` +
          'lower DATABASE_POOL_SIZE, WRITER_LANES or CLUSTER_WORKERS, or raise max_connections (or the limit of the user or database).',
      );
    }
    if (needed > limit - used) {
      warn(`up to ${needed} connections are needed; the PostgreSQL server grants ${limit}, and ${used} are in use by others`);
    }
  } finally {
    await pool.end();
  }
}
