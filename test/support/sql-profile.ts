import { loadModule, parseSync } from 'libpg-query';

/**
 * The SQL that Rialto may use, so that it can leave one PostgreSQL (docs/SCALING.md, "What the SQL keeps to"). Statements
 * are read by PostgreSQL's own parser; nothing is guessed from their text.
 */
export interface SchemaFacts {
  /** Tables that hold rows of one partition of the log each, and say which: `partition`. */
  readonly writeTables: ReadonlySet<string>;
  /** The columns of every primary and unique key. */
  readonly keys: ReadonlyMap<string, readonly (readonly string[])[]>;
}

export interface Finding {
  readonly rule: Rule;
  readonly detail: string;
}

export const rules = {
  'partition-in-where': 'a condition that binds the partition of every write table that is read or changed',
  'partition-in-insert': 'the partition in what is inserted',
  'partition-in-key': 'the partition in every primary and unique key, and in what conflicts are about',
  'no-foreign-key': 'no foreign keys: none can reach another partition, and none is needed within one',
  'no-sequence': 'no sequences, serial or identity columns: ids come from the application, positions from the partition',
  'no-advisory-lock': 'no advisory locks: other engines have none, or one per node',
  'no-listen-notify': 'LISTEN and NOTIFY only where a poll behind them finds what they lose',
  'no-trigger': 'no triggers and no rules',
  'no-temporary-table': 'no temporary tables: they are a session\'s and a node\'s',
  'no-lock-table': 'no LOCK TABLE',
  'no-system-column': 'no ctid, xmin or xmax',
  'no-volatile-update': 'no volatile function (clock_timestamp, random) in an update or delete of a write table',
  'no-division': 'no /: integers divide differently elsewhere',
  'no-special-constraint': 'no exclusion and no deferrable constraints',
  'tie-break': 'with ORDER BY and LIMIT, an order that leaves no two rows equal',
} as const;
export type Rule = keyof typeof rules;

// The trees have some 250 kinds of nodes, and what is looked at here is a dozen of them, by name.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Node = any;

export const loadParser = loadModule;

/** What of a text (one statement or several) breaks the profile. Throws what the parser says when it is no SQL. */
export function lint(text: string, schema: SchemaFacts): Finding[] {
  const linter = new Linter(schema);
  for (const { stmt } of (parseSync(text) as Node).stmts ?? []) linter.statement(stmt);
  return linter.findings;
}

/**
 * What of a text needs more than one server, where these tables are distributed by partition: a statement that changes or
 * locks rows of one of them must bind every one that it names to the same partition, by a constant or a scalar parameter.
 * Others only read, and may read everywhere.
 */
export function lintApart(text: string, distributed: ReadonlySet<string>): string[] {
  return ((parseSync(text) as Node).stmts ?? []).flatMap(({ stmt }: Node) => {
    const linter = new Linter({ writeTables: distributed, keys: new Map() });
    linter.statement(stmt);
    const { places } = linter;
    if (!places.some(({ isTaken }) => isTaken)) return [];
    const partitions = new Set(places.map(({ partition }) => partition));
    const isOne = partitions.size === 1 && !partitions.has(undefined);
    return isOne ? [] : places.map(({ table, partition }) => `${table}: ${partition ?? 'any partition'}`);
  });
}

const systemColumns = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']);
const volatileFunctions = new Set(['clock_timestamp', 'random', 'gen_random_uuid', 'uuidv4', 'uuidv7', 'nextval', 'timeofday', 'txid_current']);
const sequenceFunctions = new Set(['nextval', 'setval', 'currval', 'lastval']);

/** A relation by the name that conditions know it under. */
interface Relation {
  readonly alias: string;
  /** Absent: a function, a subquery or a CTE, whose rows are bound by what they are made of. */
  readonly writeTable?: string;
  readonly table?: string;
}

interface Equality {
  readonly left: Node;
  readonly right: Node;
  /** With one value, not with any of a list. */
  readonly isScalar?: boolean;
}

/** Where a write table is named, and by what its partition is bound there: a constant or a parameter, if by one of these. */
interface Place {
  readonly table: string;
  readonly partition: string | undefined;
  /** Its rows are changed or locked. */
  readonly isTaken: boolean;
}

class Linter {
  readonly findings: Finding[] = [];
  readonly places: Place[] = [];

  constructor(private readonly schema: SchemaFacts) {}

  private report(rule: Rule, detail: string): void {
    this.findings.push({ rule, detail });
  }

  statement(stmt: Node): void {
    this.everywhere(stmt);
    this.definition(stmt);
    this.query(stmt, []);
  }

  /** What is forbidden wherever it stands. */
  private everywhere(node: Node): void {
    if (Array.isArray(node)) return node.forEach((one) => this.everywhere(one));
    if (node === null || typeof node !== 'object') return;
    for (const [kind, value] of Object.entries<Node>(node)) {
      if (kind === 'FuncCall') {
        const name = lastName(value.funcname);
        if (/^pg_(try_)?advisory_/.test(name)) this.report('no-advisory-lock', name);
        if (name === 'pg_notify') this.report('no-listen-notify', name);
        if (sequenceFunctions.has(name)) this.report('no-sequence', name);
      }
      if (kind === 'ListenStmt' || kind === 'NotifyStmt' || kind === 'UnlistenStmt') this.report('no-listen-notify', kind);
      if (kind === 'LockStmt') this.report('no-lock-table', 'LOCK');
      if (kind === 'CreateTrigStmt' || kind === 'RuleStmt') this.report('no-trigger', value.trigname ?? value.rulename);
      if (kind === 'CreateSeqStmt') this.report('no-sequence', value.sequence?.relname);
      if (kind === 'ColumnRef' && systemColumns.has(lastName(value.fields))) this.report('no-system-column', lastName(value.fields));
      if (kind === 'A_Expr' && lastName(value.name) === '/') this.report('no-division', '/');
      if (value?.relpersistence === 't') this.report('no-temporary-table', value.relname);
      this.everywhere(value);
    }
  }

  private definition(stmt: Node): void {
    const { CreateStmt: create, AlterTableStmt: alter, IndexStmt: index } = stmt;
    if (create) {
      const table = create.relation.relname as string;
      const elements: Node[] = create.tableElts ?? [];
      // A part of a partitioned table has the keys of its parent.
      const isWriteTable = elements.some(({ ColumnDef }) => ColumnDef?.colname === 'partition');
      for (const { ColumnDef: column, Constraint: constraint } of elements) {
        if (column && /^(small|big)?serial\d?$/.test(lastName(column.typeName.names))) this.report('no-sequence', `${table}.${column.colname}`);
        for (const { Constraint: own } of column?.constraints ?? []) this.constraint(own, table, [column.colname], isWriteTable);
        if (constraint) this.constraint(constraint, table, names(constraint.keys), isWriteTable);
      }
    }
    for (const { AlterTableCmd: command } of alter?.cmds ?? []) {
      const table = alter.relation.relname as string;
      const { Constraint: constraint, ColumnDef: column } = command.def ?? {};
      if (constraint) this.constraint(constraint, table, names(constraint.keys), this.schema.writeTables.has(table));
      if (column && /^(small|big)?serial\d?$/.test(lastName(column.typeName?.names))) this.report('no-sequence', `${table}.${column.colname}`);
      for (const { Constraint: own } of column?.constraints ?? []) this.constraint(own, table, [column.colname], this.schema.writeTables.has(table));
    }
    if (index?.unique && this.schema.writeTables.has(index.relation.relname)) {
      const columns = index.indexParams.map(({ IndexElem }: Node) => IndexElem.name);
      if (!columns.includes('partition')) this.report('partition-in-key', `unique index on ${index.relation.relname} (${columns.join()})`);
    }
  }

  private constraint({ contype, deferrable }: Node, table: string, columns: readonly string[], isWriteTable: boolean): void {
    if (contype === 'CONSTR_FOREIGN') this.report('no-foreign-key', table);
    if (contype === 'CONSTR_IDENTITY') this.report('no-sequence', `${table}.${columns.join()}`);
    if (contype === 'CONSTR_EXCLUSION' || deferrable || contype === 'CONSTR_ATTR_DEFERRABLE') this.report('no-special-constraint', table);
    const isKey = contype === 'CONSTR_PRIMARY' || contype === 'CONSTR_UNIQUE';
    if (isKey && isWriteTable && !columns.includes('partition')) this.report('partition-in-key', `${table} (${columns.join()})`);
  }

  /** A query and all within it. `outer` are the relations that it may refer to from around it. */
  private query(stmt: Node, outer: readonly Relation[]): void {
    const { SelectStmt: select, InsertStmt: insert, UpdateStmt: update, DeleteStmt: del } = stmt;
    const body = select ?? insert ?? update ?? del;
    // What is explained or prepared is a query as well.
    if (!body) return this.within(stmt, outer);
    const ctes: Relation[] = (body.withClause?.ctes ?? []).map(({ CommonTableExpr: cte }: Node) => ({ alias: cte.ctename }));
    const around = [...outer, ...ctes];
    for (const { CommonTableExpr: cte } of body.withClause?.ctes ?? []) this.query(cte.ctequery, around);
    if (select) this.select(select, around, ctes);
    if (insert) this.insert(insert, around);
    if (update) this.change(update, update.fromClause, around, ctes);
    if (del) this.change(del, del.usingClause, around, ctes);
  }

  private select(select: Node, outer: readonly Relation[], ctes: readonly Relation[]): void {
    if (select.larg) {
      this.query({ SelectStmt: select.larg }, outer);
      this.query({ SelectStmt: select.rarg }, outer);
      return;
    }
    const { relations, equalities } = this.from(select.fromClause, outer, ctes);
    equalities.push(...conjuncts(select.whereClause));
    const locked: string[] | undefined = select.lockingClause?.flatMap(({ LockingClause: { lockedRels } }: Node) => lockedRels?.map(({ RangeVar }: Node) => RangeVar.relname) ?? relations.map(({ alias }) => alias));
    this.bind(relations, equalities, new Set(locked));
    this.tieBreak(select, relations, equalities);
    const inner = [...outer, ...relations];
    for (const part of ['targetList', 'whereClause', 'havingClause', 'groupClause', 'sortClause', 'limitCount', 'valuesLists']) this.within(select[part], inner);
  }

  private insert(insert: Node, outer: readonly Relation[]): void {
    const table = insert.relation.relname as string;
    const isWriteTable = this.schema.writeTables.has(table);
    const columns = (insert.cols ?? []).map(({ ResTarget }: Node) => ResTarget.name);
    if (isWriteTable && insert.cols && !columns.includes('partition')) this.report('partition-in-insert', table);
    if (isWriteTable) this.places.push({ table, partition: insertedPartition(insert.selectStmt?.SelectStmt, columns.indexOf('partition')), isTaken: true });
    const conflict: Node[] = insert.onConflictClause?.infer?.indexElems ?? [];
    if (isWriteTable && conflict.length > 0 && !conflict.some(({ IndexElem }) => IndexElem.name === 'partition')) {
      this.report('partition-in-key', `conflict of ${table}`);
    }
    if (isWriteTable) this.noVolatile(insert.onConflictClause, table);
    if (insert.selectStmt) this.query(insert.selectStmt, outer);
    this.within(insert.onConflictClause, [...outer, { alias: table }]);
  }

  private change(change: Node, from: Node, outer: readonly Relation[], ctes: readonly Relation[]): void {
    const target = this.relation(change.relation, ctes, outer);
    const { relations, equalities } = this.from(from, outer, ctes);
    equalities.push(...conjuncts(change.whereClause));
    this.bind([target, ...relations], equalities, new Set([target.alias]));
    if (target.writeTable) this.noVolatile([change.targetList, change.whereClause], target.writeTable);
    const inner = [...outer, target, ...relations];
    for (const part of ['targetList', 'whereClause', 'returningClause']) this.within(change[part], inner);
  }

  private noVolatile(node: Node, table: string): void {
    visit(node, (kind, value) => {
      if (kind === 'FuncCall' && volatileFunctions.has(lastName(value.funcname))) this.report('no-volatile-update', `${lastName(value.funcname)} in a change of ${table}`);
    });
  }

  /** Queries inside expressions. */
  private within(node: Node, outer: readonly Relation[]): void {
    if (Array.isArray(node)) return node.forEach((one) => this.within(one, outer));
    if (node === null || typeof node !== 'object') return;
    for (const [kind, value] of Object.entries<Node>(node)) {
      if (['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt'].includes(kind)) this.query({ [kind]: value }, outer);
      else this.within(value, outer);
    }
  }

  private relation({ relname, alias, schemaname }: Node, ctes: readonly Relation[], outer: readonly Relation[]): Relation {
    const isCte = !schemaname && [...outer, ...ctes].some((one) => one.alias === relname && one.table === undefined && one.writeTable === undefined);
    const name = alias?.aliasname ?? relname;
    if (isCte) return { alias: name };
    return { alias: name, table: relname, ...(this.schema.writeTables.has(relname) && { writeTable: relname }) };
  }

  private from(items: Node, outer: readonly Relation[], ctes: readonly Relation[]): { relations: Relation[]; equalities: Equality[] } {
    const relations: Relation[] = [];
    const equalities: Equality[] = [];
    const add = (item: Node): Relation[] => {
      if (!item) return [];
      if (item.RangeVar) {
        const relation = this.relation(item.RangeVar, ctes, outer);
        relations.push(relation);
        return [relation];
      }
      if (item.JoinExpr) {
        const left = add(item.JoinExpr.larg);
        const right = add(item.JoinExpr.rarg);
        equalities.push(...conjuncts(item.JoinExpr.quals));
        this.within(item.JoinExpr.quals, [...outer, ...relations]);
        if (names(item.JoinExpr.usingClause).includes('partition')) {
          for (const one of left) for (const other of right) equalities.push({ left: column(one.alias), right: column(other.alias) });
        }
        return [...left, ...right];
      }
      const inside = item.RangeSubselect ?? item.RangeFunction;
      if (item.RangeSubselect) this.query(item.RangeSubselect.subquery, [...outer, ...relations]);
      else this.within(item, [...outer, ...relations]);
      const relation: Relation = { alias: inside?.alias?.aliasname ?? '' };
      relations.push(relation);
      return [relation];
    };
    for (const item of items ?? []) add(item);
    return { relations, equalities };
  }

  /** Every write table's partition must equal something that is not just another unbound write table's. */
  private bind(relations: readonly Relation[], equalities: readonly Equality[], taken: ReadonlySet<string>): void {
    const unbound = new Map(relations.filter(({ writeTable }) => writeTable).map((relation) => [relation.alias, relation]));
    // A partition that is not said whose is that of the only write table.
    const only = unbound.size === 1 ? [...unbound.keys()][0]! : undefined;
    const partitionOf = (node: Node): string | undefined => {
      const fields = names(node?.ColumnRef?.fields);
      if (fields.at(-1) !== 'partition') return undefined;
      return fields.length > 1 ? fields.at(-2) : only;
    };
    for (const { alias, writeTable: table } of unbound.values()) {
      const sides = equalities.flatMap(({ left, right, isScalar }) => (isScalar ? [[left, right], [right, left]] : []));
      const partitions = sides.flatMap(([one, other]) => (partitionOf(one) === alias ? [scalar(other)] : []));
      this.places.push({ table: table!, partition: partitions.find((value) => value !== undefined), isTaken: taken.has(alias) });
    }
    for (let before = -1; before !== unbound.size; ) {
      before = unbound.size;
      for (const { left, right } of equalities) {
        for (const [one, other] of [[left, right], [right, left]]) {
          const alias = partitionOf(one);
          if (alias === undefined || !unbound.has(alias)) continue;
          const otherAlias = partitionOf(other);
          if (otherAlias === undefined || !unbound.has(otherAlias)) unbound.delete(alias);
        }
      }
    }
    for (const { writeTable } of unbound.values()) this.report('partition-in-where', writeTable!);
  }

  private tieBreak({ sortClause, limitCount, targetList }: Node, relations: readonly Relation[], equalities: readonly Equality[]): void {
    if (!limitCount) return;
    const tables = relations.filter(({ table }) => table !== undefined && this.schema.keys.has(table));
    if (tables.length === 0) return;
    const columnOf = (node: Node): string | undefined => names(node?.ColumnRef?.fields).at(-1);
    const sorted: (string | undefined)[] = (sortClause ?? []).map(({ SortBy }: Node) => columnOf(SortBy.node));
    // Rows that are equal in all that is read of them can stand for each other.
    const isAllSorted = sorted.length > 0 && targetList?.every(({ ResTarget }: Node) => sorted.includes(columnOf(ResTarget.val) ?? ''));
    if (isAllSorted) return;
    const settled = new Set<string | undefined>([
      ...sorted,
      ...equalities.flatMap(({ left, right }) => [columnOf(left), columnOf(right)]),
    ]);
    const isSettled = tables.some(({ table }) => this.schema.keys.get(table!)!.some((key) => key.every((name) => settled.has(name))));
    if (!isSettled) this.report('tie-break', tables.map(({ table }) => table).join());
  }
}

function visit(node: Node, see: (kind: string, value: Node) => void): void {
  if (Array.isArray(node)) return node.forEach((one) => visit(one, see));
  if (node === null || typeof node !== 'object') return;
  for (const [kind, value] of Object.entries<Node>(node)) {
    see(kind, value);
    visit(value, see);
  }
}

/** A constant or a parameter, as it stands. */
function scalar(node: Node): string | undefined {
  if (node?.TypeCast) return scalar(node.TypeCast.arg);
  if (node?.ParamRef) return `$${node.ParamRef.number}`;
  return node?.A_Const?.ival === undefined ? undefined : String(node.A_Const.ival.ival ?? 0);
}

/** Of all rows. */
function insertedPartition(select: Node, column: number): string | undefined {
  const rows: Node[] = select?.valuesLists?.map(({ List }: Node) => List.items[column]) ?? [select?.targetList?.[column]?.ResTarget.val];
  const [first, ...others] = new Set(rows.map(scalar));
  return others.length > 0 ? undefined : first;
}

const names = (list: Node): string[] => (list ?? []).map((one: Node) => one.String?.sval ?? '');
const lastName = (list: Node): string => names(list).at(-1) ?? '';
const column = (alias: string): Node => ({ ColumnRef: { fields: [{ String: { sval: alias } }, { String: { sval: 'partition' } }] } });

/** The equalities that must all hold: of ANDs, also `= ANY (…)`, `IN (…)` and rows that are compared as a whole. */
function conjuncts(condition: Node): Equality[] {
  if (!condition) return [];
  const { BoolExpr: bool, A_Expr: expression } = condition;
  if (bool?.boolop === 'AND_EXPR') return bool.args.flatMap(conjuncts);
  if (!expression || lastName(expression.name) !== '=') return [];
  if (!['AEXPR_OP', 'AEXPR_OP_ANY', 'AEXPR_IN'].includes(expression.kind)) return [];
  const { lexpr, rexpr } = expression;
  if (expression.kind === 'AEXPR_OP' && lexpr.RowExpr && rexpr.RowExpr) {
    return lexpr.RowExpr.args.map((left: Node, index: number) => ({ left, right: rexpr.RowExpr.args[index], isScalar: true }));
  }
  return [{ left: lexpr, right: rexpr, isScalar: expression.kind === 'AEXPR_OP' }];
}
