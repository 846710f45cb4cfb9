import type { CommandSteps } from '../../platform/commands/command-steps.js';
import type { Envelope } from '../../platform/commands/log-command.js';
import type { DecideParts, Part } from '../../platform/log/decision.js';
import { ReserveStock } from '../inventory/index.js';
import { PostTransaction } from '../ledger/index.js';
import { merchantAccount, paymentOf, reservationOf, type Needs, type Take } from './domain/order.js';
import { doAll } from './parts.js';

/**
 * What has to happen elsewhere for an order, as parts of the command that checks it out: stock first, then the money. For an
 * order that `isNew`, what takes its id from it is new, too.
 */
export function partsFor({ orderId, lines, payment, total, currency }: Needs, steps: CommandSteps, envelope: Envelope, isNew = false): Part[] {
  const reservationId = reservationOf(orderId);
  const parts: Part[] = lines.map(({ sku, quantity }) =>
    steps.part(ReserveStock, { sku, reservationId, isNew, quantity }, envelope, `reserve/${sku}`),
  );
  // What is given away needs no payment.
  if (total === '0') return parts;
  const postings = [{ source: payment.account, destination: merchantAccount, amount: total }];
  const transactionId = paymentOf(orderId);
  const transaction = { ledger: payment.ledger, transactionId, isNew, postings, currency, pending: true, reference: orderId };
  return [...parts, steps.part(PostTransaction, transaction, envelope, 'authorise')];
}

/** Takes what an order needs in the commit of the decision that asks for it. */
export function takeWith(decideParts: DecideParts, steps: CommandSteps, envelope: Envelope, isNew?: boolean): Take {
  return (needs) => doAll(partsFor(needs, steps, envelope, isNew), decideParts);
}
