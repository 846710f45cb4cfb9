import type { PartsDecided } from '../../platform/log/decision.js';
import type { TransactionLook } from '../ledger/index.js';

/** What there is of an order's payment: what the merchant has got by it, and which transaction took that back. */
export function paymentIn(parts: PartsDecided): { captured?: string; reversedBy?: string } {
  if (parts.refusal) throw new Error(`a look at a payment can not be refused: ${parts.refusal.code}`);
  const [{ status, postings, reversedBy }] = parts.answers as [TransactionLook];
  if (reversedBy !== undefined) return { reversedBy };
  return status === 'posted' ? { captured: postings[0]!.amount } : {};
}
