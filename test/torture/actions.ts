import type { RequestOptions } from '../support/client.js';

export interface Transfer {
  readonly source: string;
  readonly destination: string;
  /** In minor units, as text. */
  readonly amount: string;
  readonly currency: string;
  /** Different for every transfer that is meant: how it is found in the log. */
  readonly reference: string;
  readonly transactionId: string;
}

export type Overdraft = 'none' | 'unlimited' | { readonly limit: string };

export interface Line {
  readonly sku: string;
  readonly quantity: number;
}

interface OfLedger {
  readonly ledger: string;
}

/** What a client asks to be done. Every id is the client's own, so that its effect can be told from all others. */
export type Write =
  | (OfLedger & { readonly kind: 'open-account'; readonly accountId: string; readonly currency: string; readonly overdraft: Overdraft })
  | (OfLedger & { readonly kind: 'close-account'; readonly accountId: string })
  | (OfLedger & Transfer & { readonly kind: 'transfer' })
  | (OfLedger & { readonly kind: 'bulk-transfer'; readonly transfers: readonly Transfer[] })
  /** A pending transaction. */
  | (OfLedger & Transfer & { readonly kind: 'authorise'; readonly expiresInSeconds?: number })
  | (OfLedger & { readonly kind: 'capture'; readonly transactionId: string; readonly amount?: string })
  | (OfLedger & { readonly kind: 'void'; readonly transactionId: string })
  | (OfLedger & { readonly kind: 'reverse'; readonly transactionId: string; readonly reversalId: string })
  | { readonly kind: 'receive-stock'; readonly sku: string; readonly quantity: number; readonly location?: string; readonly reference: string }
  | { readonly kind: 'adjust-stock'; readonly sku: string; readonly delta: number; readonly location?: string; readonly reason: string }
  | { readonly kind: 'reserve'; readonly sku: string; readonly reservationId: string; readonly quantity: number; readonly expiresInSeconds?: number }
  | { readonly kind: 'release' | 'commit'; readonly sku: string; readonly reservationId: string }
  | {
      readonly kind: 'create-product';
      readonly productId: string;
      readonly name: string;
      readonly variants: readonly { readonly sku: string; readonly amount: string; readonly currency: string }[];
    }
  | { readonly kind: 'change-price'; readonly productId: string; readonly sku: string; readonly amount: string; readonly currency: string }
  | { readonly kind: 'archive-product' | 'restore-product'; readonly productId: string }
  | (OfLedger & {
      readonly kind: 'place-order';
      readonly orderId: string;
      readonly customerId: string;
      readonly account: string;
      readonly lines: readonly Line[];
      readonly autoFulfil?: boolean;
    })
  | { readonly kind: 'cancel-order' | 'fulfil-order'; readonly orderId: string }
  | {
      readonly kind: 'refund-order';
      readonly orderId: string;
      readonly amount?: string;
      readonly lines?: readonly (Line & { readonly restock?: boolean })[];
    };

/** What a client asks to know. `query` is what follows the question mark. */
export type Read =
  | (OfLedger & { readonly kind: 'read-account'; readonly accountId: string })
  | (OfLedger & { readonly kind: 'read-transaction'; readonly transactionId: string })
  | (OfLedger & { readonly kind: 'list-entries'; readonly accountId: string; readonly query?: string })
  | (OfLedger & { readonly kind: 'list-accounts'; readonly query?: string })
  | (OfLedger & { readonly kind: 'read-trial-balance' })
  | { readonly kind: 'read-stock'; readonly sku: string }
  | { readonly kind: 'read-reservation'; readonly sku: string; readonly reservationId: string }
  | { readonly kind: 'list-movements'; readonly sku: string; readonly query?: string }
  | { readonly kind: 'read-order'; readonly orderId: string }
  | { readonly kind: 'list-orders'; readonly query?: string }
  | { readonly kind: 'read-product'; readonly productId: string }
  | { readonly kind: 'read-sku'; readonly sku: string }
  | { readonly kind: 'list-products'; readonly query?: string };

export type Action = Write | Read;
export type Kind = Action['kind'];

export function isRead(action: Action): action is Read {
  return action.kind.startsWith('read-') || action.kind.startsWith('list-');
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly body?: RequestOptions['body'];
}

/** How an action is asked for. Headers (key, token, preference) are the attempt's, not the action's. */
export function requestOf(action: Action): HttpRequest {
  switch (action.kind) {
    case 'open-account': {
      const { ledger, accountId, currency, overdraft } = action;
      return post(`/v1/ledgers/${ledger}/accounts`, { accountId, currency, overdraft });
    }
    case 'close-account':
      return post(`/v1/ledgers/${action.ledger}/accounts/${action.accountId}/close`);
    case 'transfer':
      return post(`/v1/ledgers/${action.ledger}/transactions`, transactionOf(action));
    case 'bulk-transfer':
      return post(`/v1/ledgers/${action.ledger}/transactions/bulk`, action.transfers.map(transactionOf));
    case 'authorise': {
      const { ledger, expiresInSeconds } = action;
      return post(`/v1/ledgers/${ledger}/transactions`, { ...transactionOf(action), pending: true, expiresInSeconds });
    }
    case 'capture':
      return post(`/v1/ledgers/${action.ledger}/transactions/${action.transactionId}/capture`, { amount: action.amount });
    case 'void':
      return post(`/v1/ledgers/${action.ledger}/transactions/${action.transactionId}/void`);
    case 'reverse': {
      const { ledger, transactionId, reversalId } = action;
      return post(`/v1/ledgers/${ledger}/transactions/${transactionId}/reverse`, { transactionId: reversalId });
    }
    case 'receive-stock': {
      const { sku, quantity, location, reference } = action;
      return post(`/v1/stock/${sku}/receipts`, { quantity, location, reference });
    }
    case 'adjust-stock': {
      const { sku, delta, location, reason } = action;
      return post(`/v1/stock/${sku}/adjustments`, { delta, location, reason });
    }
    case 'reserve': {
      const { sku, reservationId, quantity, expiresInSeconds } = action;
      return post(`/v1/stock/${sku}/reservations`, { reservationId, quantity, expiresInSeconds });
    }
    case 'release':
    case 'commit':
      return post(`/v1/stock/${action.sku}/reservations/${action.reservationId}/${action.kind}`);
    case 'create-product': {
      const { productId, name } = action;
      const variants = action.variants.map(({ sku, amount, currency }) => ({ sku, price: { amount, currency } }));
      return post('/v1/products', { productId, name, variants });
    }
    case 'change-price': {
      const { productId, sku, amount, currency } = action;
      return { method: 'PUT', path: `/v1/products/${productId}/variants/${sku}`, body: { price: { amount, currency } } };
    }
    case 'archive-product':
      return post(`/v1/products/${action.productId}/archive`);
    case 'restore-product':
      return post(`/v1/products/${action.productId}/restore`);
    case 'place-order': {
      const { orderId, customerId, ledger, account, lines, autoFulfil } = action;
      return post('/v1/orders', { orderId, customerId, lines, payment: { ledger, account }, autoFulfil });
    }
    case 'cancel-order':
      return post(`/v1/orders/${action.orderId}/cancel`);
    case 'fulfil-order':
      return post(`/v1/orders/${action.orderId}/fulfil`);
    case 'refund-order': {
      const { orderId, amount, lines } = action;
      return post(`/v1/orders/${orderId}/refunds`, { amount, lines });
    }
    case 'read-account':
      return get(`/v1/ledgers/${action.ledger}/accounts/${action.accountId}`);
    case 'read-transaction':
      return get(`/v1/ledgers/${action.ledger}/transactions/${action.transactionId}`);
    case 'list-entries':
      return get(`/v1/ledgers/${action.ledger}/accounts/${action.accountId}/entries`, action.query);
    case 'list-accounts':
      return get(`/v1/ledgers/${action.ledger}/accounts`, action.query);
    case 'read-trial-balance':
      return get(`/v1/ledgers/${action.ledger}/trial-balance`);
    case 'read-stock':
      return get(`/v1/stock/${action.sku}`);
    case 'read-reservation':
      return get(`/v1/stock/${action.sku}/reservations/${action.reservationId}`);
    case 'list-movements':
      return get(`/v1/stock/${action.sku}/movements`, action.query);
    case 'read-order':
      return get(`/v1/orders/${action.orderId}`);
    case 'list-orders':
      return get('/v1/orders', action.query);
    case 'read-product':
      return get(`/v1/products/${action.productId}`);
    case 'read-sku':
      return get(`/v1/skus/${action.sku}`);
    case 'list-products':
      return get('/v1/products', action.query);
  }
}

/**
 * The things an action is about, as `<type>/<id>`: what an excerpt of a history goes by, and what histories are split
 * by.
 */
export function keysOf(action: Action): string[] {
  const keys = new Set<string>();
  const account = (ledger: string, id: string) => keys.add(`account/${ledger}/${id}`);
  const transfer = (ledger: string, { source, destination, transactionId }: Transfer) => {
    account(ledger, source);
    account(ledger, destination);
    keys.add(`transaction/${ledger}/${transactionId}`);
  };
  if ('accountId' in action) account(action.ledger, action.accountId);
  if ('account' in action) account(action.ledger, action.account);
  if ('source' in action) transfer(action.ledger, action);
  else if ('transactionId' in action) keys.add(`transaction/${action.ledger}/${action.transactionId}`);
  if ('transfers' in action) for (const one of action.transfers) transfer(action.ledger, one);
  if ('reversalId' in action) keys.add(`transaction/${action.ledger}/${action.reversalId}`);
  if ('sku' in action) keys.add(`sku/${action.sku}`);
  if ('reservationId' in action) keys.add(`reservation/${action.sku}/${action.reservationId}`);
  if ('orderId' in action) keys.add(`order/${action.orderId}`);
  if ('productId' in action) keys.add(`product/${action.productId}`);
  if ('lines' in action) for (const { sku } of action.lines ?? []) keys.add(`sku/${sku}`);
  if ('variants' in action) for (const { sku } of action.variants) keys.add(`sku/${sku}`);
  return [...keys];
}

function transactionOf({ source, destination, amount, reference, transactionId }: Transfer): object {
  return { transactionId, postings: [{ source, destination, amount }], reference };
}

function post(path: string, body?: object): HttpRequest {
  return { method: 'POST', path, body };
}

function get(path: string, query?: string): HttpRequest {
  return { method: 'GET', path: query ? `${path}?${query}` : path };
}
