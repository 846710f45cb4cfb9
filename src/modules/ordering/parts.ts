import type { DecideParts, Part } from '../../platform/log/decision.js';
import type { TransactionLook } from '../ledger/index.js';
import type { Refusal } from './domain/order.js';

/** Does all of them, or says what was refused, and has then done nothing. */
export function doAll(parts: readonly Part[], decideParts: DecideParts): Refusal | undefined {
  const { refusal } = decideParts(parts);
  // As an event has it: not the error that it is.
  return refusal && { code: refusal.code, detail: refusal.detail };
}

/** What the merchant has got by an order's payment, and which transaction took that back; nothing where nothing is looked at. */
export function paymentIn(look: readonly Part[], decideParts: DecideParts): { captured?: string; reversedBy?: string } {
  if (look.length === 0) return {};
  const decided = decideParts(look);
  if (decided.refusal) throw new Error(`a look at a payment can not be refused: ${decided.refusal.code}`);
  const [{ status, postings, reversedBy }] = decided.answers as [TransactionLook];
  if (reversedBy !== undefined) return { reversedBy };
  return status === 'posted' ? { captured: postings[0]!.amount } : {};
}
