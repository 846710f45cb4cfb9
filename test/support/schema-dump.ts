import type pg from 'pg';

/**
 * The schema of a database as text, the same on every server: what `pg_dump --schema-only` would say of tables,
 * columns, constraints, indexes, comments and other objects, without needing pg_dump. The partitions of a table are
 * counted, not listed.
 */
const tablesSql = `
SELECT c.oid::int AS id, c.relname AS name, c.relkind AS kind, obj_description(c.oid, 'pg_class') AS comment,
  pg_get_partkeydef(c.oid) AS partition_key, c.reloptions AS options,
  (SELECT count(*)::int FROM pg_inherits i WHERE i.inhparent = c.oid) AS partitions
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition ORDER BY c.relname`;

const columnsSql = `
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
  pg_get_expr(d.adbin, d.adrelid) AS fallback, a.attidentity AS identity, a.attgenerated AS generated,
  (SELECT l.collname FROM pg_collation l JOIN pg_type t ON t.oid = a.atttypid
   WHERE l.oid = a.attcollation AND a.attcollation <> t.typcollation) AS collation,
  nullif(a.attstattarget, -1) AS statistics, col_description(a.attrelid, a.attnum) AS comment
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`;

/** Since PostgreSQL 18 "not null" is a constraint ('n') too; before, it was the column's alone. */
const constraintsSql = `
SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE conrelid = $1 AND contype <> 'n' ORDER BY conname COLLATE "C"`;

const indexesSql = `
SELECT replace(pg_get_indexdef(i.indexrelid), ' public.', ' ') AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = $1 AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = $1)
ORDER BY c.relname COLLATE "C"`;

const othersSql = `
SELECT line FROM (
  SELECT 'FUNCTION ' || p.oid::regprocedure || E'\\n' || pg_get_functiondef(p.oid) AS line
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public' AND p.prokind IN ('f', 'p')
  UNION ALL
  SELECT 'SEQUENCE ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = 'public' AND c.relkind = 'S'
  UNION ALL
  SELECT 'EXTENSION ' || extname FROM pg_extension WHERE extname <> 'plpgsql'
  UNION ALL
  SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0
  UNION ALL
  SELECT 'TYPE ' || t.typname || coalesce((SELECT ' ENUM ' || string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
    FROM pg_enum WHERE enumtypid = t.oid), '')
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE n.nspname = 'public' AND t.typtype IN ('e', 'd', 'r')
) others ORDER BY line COLLATE "C"`;

interface Table {
  id: number;
  name: string;
  kind: 'r' | 'p' | 'v' | 'm' | 'f';
  comment: string | null;
  partition_key: string | null;
  options: string[] | null;
  partitions: number;
}

interface Column {
  name: string;
  type: string;
  required: boolean;
  fallback: string | null;
  identity: string;
  generated: string;
  collation: string | null;
  statistics: number | null;
  comment: string | null;
}

const kinds = { r: 'TABLE', p: 'TABLE', v: 'VIEW', m: 'MATERIALIZED VIEW', f: 'FOREIGN TABLE' };

export async function dumpSchema(pool: pg.Pool): Promise<string> {
  const rows = async <Row extends object>(sql: string, ...values: unknown[]) => (await pool.query<Row>(sql, values)).rows;
  const parts: string[] = [];
  for (const table of await rows<Table>(tablesSql)) {
    const { id, name, kind, options, comment, partitions } = table;
    const columns = await rows<Column>(columnsSql, id);
    const constraints = await rows<{ name: string; definition: string }>(constraintsSql, id);
    const inside = [
      ...columns.map(columnLine),
      ...constraints.map((constraint) => `CONSTRAINT ${constraint.name} ${constraint.definition}`),
    ];
    const storage = options ? ` WITH (${options.toSorted().join(', ')})` : '';
    const partitioning = table.partition_key ? ` PARTITION BY ${table.partition_key}` : '';
    parts.push(`CREATE ${kinds[kind]} ${name} (\n  ${inside.join(',\n  ')}\n)${partitioning}${storage};`);
    if (partitions > 0) parts.push(`-- ${partitions} partitions`);
    for (const index of await rows<{ definition: string }>(indexesSql, id)) parts.push(`${index.definition};`);
    if (comment !== null) parts.push(`COMMENT ON TABLE ${name} IS '${comment.replaceAll("'", "''")}';`);
    parts.push('');
  }
  for (const { line } of await rows<{ line: string }>(othersSql)) parts.push(`${line};`);
  return `${parts.join('\n').trimEnd()}\n`;
}

function columnLine({ name, type, required, fallback, identity, generated, collation, statistics, comment }: Column): string {
  return [
    name,
    type,
    collation && `COLLATE "${collation}"`,
    required && 'NOT NULL',
    generated && `GENERATED ALWAYS AS (${fallback}) STORED`,
    !generated && fallback !== null && `DEFAULT ${fallback}`,
    identity && 'GENERATED AS IDENTITY',
    statistics !== null && `STATISTICS ${statistics}`,
    comment && `/* ${comment} */`,
  ]
    .filter(Boolean)
    .join(' ');
}
