/** Ordering's refusals, and those of a checkout that come from elsewhere. docs/errors.md lists them; a test holds both equal. */
export const orderingProblems = {
  'order-exists': { status: 409, title: 'The order exists with other content' },
  'order-not-found': { status: 404, title: 'There is no such order' },
  'product-not-available': { status: 409, title: 'A product can not be ordered' },
  'order-cancelled': { status: 409, title: 'The order was cancelled before its verdict' },
  'payment-timeout': { status: 409, title: 'The payment was not authorised in time' },
  'not-cancellable': { status: 409, title: 'The order can no longer be cancelled' },
  'not-confirmed': { status: 409, title: 'The order is not confirmed' },
  'not-refundable': { status: 409, title: 'Nothing of the order was captured' },
  'refund-exceeds-captured': { status: 409, title: 'More than is left of what was captured' },
  'refund-exceeds-quantity': { status: 409, title: 'More units than are left to refund' },
} as const;
