import { answersThatDiffer, commandsDoneTwice } from '../chaos/checkers.js';
import type { LogContents, LoggedEvent } from '../chaos/log-contents.js';
import { numbersOf, operationsOf, outcomeOf, type History, type Operation, type Outcome } from './history.js';
import { violation, violations, type Violation } from './violation.js';

/**
 * What operations left in the log. An effect has a name that can occur in the log only once (`reserved
 * reservation/mug/r1`), and every operation that could have had it lays claim to it: it is there once when one of them
 * was acknowledged, at most once when it is not known of one, and not at all when all were refused or turned away.
 */
export interface Claim {
  readonly effect: string;
  readonly is: 'made' | 'perhaps' | 'refused';
}

/** Exactly once (C3), and nothing acknowledged is lost (C4). */
export function effectsGoneWrong(history: Pick<History, 'entries'>, log: LogContents): Violation[] {
  const found: Violation[] = [];
  const operations = operationsOf(history);
  const events = eventsByEffect(log.events);
  for (const [effect, claims] of claimsByEffect(operations)) {
    const there = events.get(effect) ?? [];
    const entries = claims.flatMap(({ operation }) => numbersOf(operation));
    const positions = there.map(positionOf);
    const isMade = claims.some(({ is }) => is === 'made');
    const most = isMade || claims.some(({ is }) => is === 'perhaps') ? 1 : 0;
    if (isMade && there.length === 0) {
      found.push(violation('C4', `${effect} was acknowledged and is not in the log`, entries));
    }
    if (there.length > most) {
      const why = most === 0 ? 'was refused, or never tried, and is in the log' : `is in the log ${there.length} times`;
      found.push(violation('C3', `${effect} ${why}`, entries, positions));
    }
    events.delete(effect);
  }
  for (const [effect, there] of events) {
    // A reference is its client's to repeat.
    if (there.length > 1 && !effect.startsWith('received') && !effect.startsWith('adjusted') && !effect.startsWith('reference')) {
      found.push(violation('C3', `${effect} is in the log ${there.length} times`, [], there.map(positionOf)));
    }
  }
  for (const operation of operations) {
    for (const sentence of answersThatDiffer([asAsked(operation)])) {
      found.push(violation('C3', sentence, operation.attempts.map(({ number }) => number)));
    }
  }
  return [...found, ...violations('C3', commandsDoneTwice(log))];
}

export const positionOf = ({ partition, position }: LoggedEvent): string => `${partition}@${position}`;

export interface Claimed extends Claim {
  readonly operation: Operation;
}

export function claimsByEffect(operations: readonly Operation[]): Map<string, Claimed[]> {
  const claims = new Map<string, Claimed[]>();
  for (const operation of operations) {
    for (const { effect, is } of claimsOf(operation, outcomeOf(operation))) {
      const own = claims.get(effect) ?? [];
      claims.set(effect, own);
      own.push({ effect, is, operation });
    }
  }
  return claims;
}

function claimsOf({ action }: Operation, outcome: Outcome): Claim[] {
  const is = outcome.kind === 'done' ? 'made' : outcome.kind === 'open' ? 'perhaps' : 'refused';
  const one = (effect: string, as: Claim['is'] = is): Claim[] => [{ effect, is: as }];
  switch (action.kind) {
    case 'open-account':
      return one(`opened account/${action.ledger}/${action.accountId}`);
    case 'close-account':
      return one(`closed account/${action.ledger}/${action.accountId}`);
    case 'transfer':
    case 'authorise':
      return transferClaims(action.ledger, action, is);
    case 'bulk-transfer':
      return action.transfers.flatMap((transfer, index) => {
        const isRefused = outcome.kind === 'done' && outcome.body.results[index].status === 'refused';
        return transferClaims(action.ledger, transfer, isRefused ? 'refused' : is);
      });
    case 'capture':
      return one(`captured transaction/${action.ledger}/${action.transactionId}`);
    case 'void':
      return one(`voided transaction/${action.ledger}/${action.transactionId}`);
    case 'reverse':
      return [...one(`reversed transaction/${action.ledger}/${action.transactionId}`), ...one(`made transaction/${action.ledger}/${action.reversalId}`)];
    case 'receive-stock':
      return one(`received sku/${action.sku} ${action.reference}`);
    case 'adjust-stock':
      return one(`adjusted sku/${action.sku} ${action.reason}`);
    case 'reserve':
      return one(`reserved reservation/${action.sku}/${action.reservationId}`);
    case 'release':
    case 'commit': {
      const becomes = action.kind === 'commit' ? 'committed' : 'released';
      const status = outcome.kind === 'done' ? outcome.body.status : becomes;
      // Releasing what has expired is done, and changes nothing; that it has expired may not be on record yet.
      return one(`${becomes} reservation/${action.sku}/${action.reservationId}`, status === becomes ? is : 'refused');
    }
    case 'create-product':
      return one(`created product/${action.productId}`);
    case 'place-order': {
      // An order that is refused when it is checked out was placed all the same.
      const isPlaced = outcome.kind === 'refused' ? 'perhaps' : is;
      const shipped = action.autoFulfil ? one(`fulfilled order/${action.orderId}`, 'perhaps') : [];
      return [...one(`placed order/${action.orderId}`, isPlaced), ...shipped];
    }
    case 'cancel-order':
      return one(`cancelled order/${action.orderId}`);
    case 'fulfil-order':
      return one(`fulfilled order/${action.orderId}`, outcome.kind === 'done' && outcome.status === 202 ? 'perhaps' : is);
    case 'refund-order':
      return outcome.kind === 'done' && outcome.status === 201 ? one(`paid refund/${action.orderId}/${outcome.body.refundId}`) : [];
    default:
      return [];
  }
}

function transferClaims(ledger: string, { transactionId, reference }: { transactionId: string; reference: string }, is: Claim['is']): Claim[] {
  return [
    { effect: `made transaction/${ledger}/${transactionId}`, is },
    { effect: `reference ${ledger}/${reference}`, is },
  ];
}

export function eventsByEffect(events: readonly LoggedEvent[]): Map<string, LoggedEvent[]> {
  const byEffect = new Map<string, LoggedEvent[]>();
  for (const event of events) {
    for (const effect of effectsOf(event)) {
      const own = byEffect.get(effect) ?? [];
      byEffect.set(effect, own);
      own.push(event);
    }
  }
  return byEffect;
}

function effectsOf({ type, data }: LoggedEvent): string[] {
  const transaction = `transaction/${data.ledger}/${data.transactionId}`;
  const reservation = `reservation/${data.sku}/${data.reservationId}`;
  switch (type) {
    case 'ledger.account-opened.v1':
      return [`opened account/${data.ledger}/${data.accountId}`];
    case 'ledger.account-closed.v1':
      return [`closed account/${data.ledger}/${data.accountId}`];
    case 'ledger.transaction-posted.v1':
    case 'ledger.transaction-authorised.v1':
      return [
        `made ${transaction}`,
        ...(data.reference === undefined ? [] : [`reference ${data.ledger}/${data.reference}`]),
        ...(data.reverses === undefined ? [] : [`reversed transaction/${data.ledger}/${data.reverses}`]),
      ];
    case 'ledger.transaction-captured.v1':
      return [`captured ${transaction}`];
    case 'ledger.transaction-released.v1':
      return [`${data.reason} ${transaction}`];
    case 'inventory.stock-received.v1':
      return [`received sku/${data.sku} ${data.reference}`];
    case 'inventory.stock-adjusted.v1':
      return [`adjusted sku/${data.sku} ${data.reason}`];
    case 'inventory.stock-reserved.v1':
      return [`reserved ${reservation}`];
    case 'inventory.reservation-released.v1':
      return [`released ${reservation}`];
    case 'inventory.reservation-committed.v1':
      return [`committed ${reservation}`];
    case 'inventory.reservation-expired.v1':
      return [`expired ${reservation}`];
    case 'catalog.product-created.v1':
      return [`created product/${data.productId}`];
    case 'ordering.order-placed.v1':
      return [`placed order/${data.orderId}`];
    case 'ordering.order-confirmed.v1':
      return [`confirmed order/${data.orderId}`];
    case 'ordering.order-rejected.v1':
      return [`rejected order/${data.orderId}`];
    case 'ordering.order-cancelled.v1':
      return [`cancelled order/${data.orderId}`];
    case 'ordering.order-fulfilled.v1':
      return [`fulfilled order/${data.orderId}`];
    case 'ordering.refund-paid.v1':
      return [`paid refund/${data.orderId}/${data.refundId}`];
    default:
      return [];
  }
}

/** With text for its answers. That an order takes longer than a request waits (202) is no answer to be held to. */
function asAsked({ key = 'a read', action, attempts }: Operation): Parameters<typeof answersThatDiffer>[0][number] {
  const isAnswer = (status: number | undefined) => status !== 202 || !('orderId' in action);
  return {
    key: `${action.kind} ${key}`,
    ledger: '',
    references: [],
    attempts: attempts
      .filter(({ status }) => isAnswer(status))
      .map(({ fate, status, body }) => ({ fate, status, text: JSON.stringify(body) })),
  };
}
