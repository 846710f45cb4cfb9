import { availableParallelism } from 'node:os';
import { ConfigError, environment, readConfig } from './config.js';

/** What is wrong, and words that must be in the line that says so. `null`: every text is taken. */
const wrong: Record<keyof typeof environment, [value: string, takes: RegExp][] | null> = {
  PORT: [['http', /0 to 65535/], ['65536', /0 to 65535/], ['-1', /0 to 65535/], ['80.5', /0 to 65535/], [' 80', /0 to 65535/]],
  HOST: null,
  ROLE: [['both', /; all, command or query$/], ['queries', /; all, command or query$/], ['Query', /; all, command or query$/]],
  SERVE_HTTP: [['no', /; true or false$/]],
  CLUSTER_WORKERS: [['0', /1 to 256, or auto/], ['all', /1 to 256, or auto/], ['257', /1 to 256, or auto/]],
  READ_DATABASE_URLS: [['replica:5432', /postgres:\/\//], ['postgres://a/x,mysql://b/x', /separated by commas/]],
  REPLICA_MAX_LAG_MS: [['99', /100 to 600000/], ['10s', /100 to 600000/]],
  REDIS_URL: [['localhost:6379', /redis:\/\//], ['redis://a,http://b', /separated by commas/], ['redis://a,rediss://b', /all by the same/]],
  CACHE_URL: [
    ['localhost', /memcached:\/\//],
    ['http://x', /memcached:\/\//],
    ['redis://a,memcached://b', /several of one kind, separated by commas/],
    ['redis://a,rediss://b', /several of one kind/],
  ],
  CACHE_MB: [['-1', /0 to 65536/], ['64mb', /0 to 65536/]],
  CACHE_TTL_MS: [['99', /100 to 86400000/], ['1m', /100 to 86400000/]],
  SHUTDOWN_DRAIN_MS: [['-1', /0 to 300000/], ['5s', /0 to 300000/]],
  RUN_WORKERS: [['yes', /; true or false$/], ['1', /; true or false$/], ['TRUE', /; true or false$/]],
  DATABASE_URL: [['localhost:5432', /postgres:\/\//], ['mysql://localhost/x', /postgres:\/\//], ['x', /postgres:\/\//]],
  DATABASE_POOL_SIZE: [['1', /2 to 200/], ['201', /2 to 200/], ['many', /2 to 200, or auto/]],
  DATA_DIR: null,
  PARTITIONS: [['0', /1 to 256/], ['257', /1 to 256/], ['1e2', /1 to 256/]],
  LOG_LEVEL: [['loud', /; fatal, error, .* or silent$/], ['INFO', /; fatal, error, .* or silent$/]],
  BODY_LIMIT: [['1', /512kb or 1mb/], ['1 mb', /512kb or 1mb/], ['1gb', /512kb or 1mb/]],
  BULK_BODY_LIMIT: [['big', /512kb or 1mb/]],
  CONSISTENCY_WAIT_MS: [['2s', /0 to 60000/], ['60001', /0 to 60000/]],
  IDEMPOTENCY_RETENTION: [['7', /30s.*7d/], ['7 days', /30s.*7d/], ['-1d', /30s.*7d/]],
  WRITER_LANES: [['0', /1 to 256/], ['257', /1 to 256/], ['auto', /1 to 256/], ['17', /at most one for each of the 16 PARTITIONS/]],
  WRITER_QUEUE_LIMIT: [['0', /1 to 1000000/], ['1000001', /1 to 1000000/]],
  STATE_CACHE_MB: [['0', /1 to 65536/], ['64mb', /1 to 65536/]],
  SWEEP_INTERVAL_MS: [['9', /10 to 60000/], ['60001', /10 to 60000/]],
  COMMAND_CLAIM_MS: [['99', /100 to 600000/], ['600001', /100 to 600000/]],
  SHUTDOWN_TIMEOUT_MS: [['99', /100 to 300000/], ['300001', /100 to 300000/]],
};

describe('the configuration', () => {
  it('has a default for everything', () => {
    expect(readConfig({})).toMatchObject({ port: 3000, host: '127.0.0.1', partitions: 16, runWorkers: true });
    expect(readConfig({}).databaseUrl).toBeUndefined();
  });

  it('takes an empty value for none, as an untouched line of .env says it', () => {
    const empty = Object.fromEntries(Object.keys(environment).map((name) => [name, '']));
    expect(readConfig(empty)).toEqual(readConfig({}));
  });

  it('is frozen, and pays no heed to other variables', () => {
    expect(readConfig({ PATH: '/bin', port: '1' })).toEqual(readConfig({}));
    expect(Object.isFrozen(readConfig({}))).toBe(true);
  });

  it('reads sizes and durations in their units', () => {
    const read = (env: Record<string, string>) => readConfig(env);
    expect(read({ BODY_LIMIT: '512kb', BULK_BODY_LIMIT: '2MB' })).toMatchObject({ bodyLimitBytes: 524_288, bulkBodyLimitBytes: 2_097_152 });
    expect(read({ BODY_LIMIT: '100b' }).bodyLimitBytes).toBe(100);
    expect(read({ STATE_CACHE_MB: '2' }).stateCacheBytes).toBe(2_097_152);
    const durations = { '500ms': 500, '30s': 30_000, '15m': 900_000, '12h': 43_200_000, '7d': 604_800_000 };
    for (const [text, ms] of Object.entries(durations)) {
      expect(read({ IDEMPOTENCY_RETENTION: text }).idempotencyRetentionMs).toBe(ms);
    }
  });

  it('makes of auto what the cores of the machine make of it', () => {
    const cores = availableParallelism();
    expect(readConfig({ CLUSTER_WORKERS: 'auto' }).clusterWorkers).toBe(cores);
    expect(readConfig({}).databasePoolSize).toBe(Math.min(20, Math.max(4, 5 * cores)));
    expect(readConfig({ CLUSTER_WORKERS: 'auto' }).databasePoolSize).toBe(5);
    expect(readConfig({ CLUSTER_WORKERS: '256' }).databasePoolSize).toBe(Math.max(4, Math.ceil((5 * cores) / 256)));
    expect(readConfig({ CLUSTER_WORKERS: '256', DATABASE_POOL_SIZE: '30' }).databasePoolSize).toBe(30);
  });

  it('keeps partitions apart with a lane for each of them, and not where there is only one', () => {
    const areApart = (lanes: string, partitions: string) => readConfig({ WRITER_LANES: lanes, PARTITIONS: partitions }).partitionsAreApart;
    expect([areApart('1', '16'), areApart('8', '16'), areApart('16', '16'), areApart('8', '8'), areApart('1', '1')]).toEqual([false, false, true, true, false]);
  });

  it('takes both names of the scheme', () => {
    for (const url of ['postgres://localhost/x', 'postgresql://u:p@db.internal:5432/x?sslmode=require']) {
      expect(readConfig({ DATABASE_URL: url }).databaseUrl).toBe(url);
    }
  });

  it('takes several addresses of one cache', () => {
    for (const text of ['memcached://a, memcached://b:11212', 'redis://a:7001,redis://b:7002', 'rediss://a']) {
      expect(readConfig({ CACHE_URL: text }).cacheUrls).toEqual(text.split(',').map((url) => url.trim()));
    }
  });

  const cases = Object.entries(wrong).flatMap(([name, values]) => (values ?? []).map(([value, takes]) => ({ name, value, takes })));

  it.each(cases)('$name=$value is refused in one line with what it takes', ({ name, value, takes }) => {
    const read = () => readConfig({ [name]: value });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(takes);
    expect(read).toThrow(`${name}: got ${JSON.stringify(value)}; `);
    expect(read).not.toThrow('\n');
  });
});
