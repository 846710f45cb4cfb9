import type pg from 'pg';
import { migrations } from '../../migrations/index.js';

/** Whether every migration this build knows has been applied. */
export async function isMigrated(pool: pg.Pool): Promise<boolean> {
  const names = migrations.map((Migration) => new Migration().name ?? Migration.name);
  try {
    const applied = await pool.query('select from migrations where name = any($1)', [names]);
    return applied.rowCount === names.length;
  } catch (error) {
    if ((error as { code?: string }).code === '42P01') return false; // No migration has ever run.
    throw error;
  }
}
