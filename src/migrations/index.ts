import { Log1700000000001 } from './0001-log.js';
import { LedgerViews1700000000002 } from './0002-ledger-views.js';
import { CatalogViews1700000000003 } from './0003-catalog-views.js';
import { InventoryViews1700000000004 } from './0004-inventory-views.js';
import { OrderingViews1700000000005 } from './0005-ordering-views.js';
import { CatalogLists1700000000006 } from './0006-catalog-lists.js';
import { LedgerStatements1700000000007 } from './0007-ledger-statements.js';
import { LockPartitions1700000000008 } from './0008-lock-partitions.js';
import { Statistics1700000000009 } from './0009-statistics.js';

/** In the order they run. Append only: what has run somewhere is never edited. */
export const migrations = [
  Log1700000000001,
  LedgerViews1700000000002,
  CatalogViews1700000000003,
  InventoryViews1700000000004,
  OrderingViews1700000000005,
  CatalogLists1700000000006,
  LedgerStatements1700000000007,
  LockPartitions1700000000008,
  Statistics1700000000009,
];
