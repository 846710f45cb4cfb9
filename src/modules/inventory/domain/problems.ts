/** The inventory's refusals. docs/errors.md lists them; a test holds both equal. */
export const inventoryProblems = {
  'stock-not-found': { status: 404, title: 'There never was any stock of this SKU there' },
  'insufficient-stock': { status: 409, title: 'There is not enough stock available' },
  'quantity-out-of-range': { status: 409, title: 'A quantity would leave 53 bits' },
  'too-many-locations': { status: 409, title: 'The SKU is at as many locations as it may be' },
  'reservation-exists': { status: 409, title: 'The reservation exists with other content' },
  'reservation-not-found': { status: 404, title: 'There is no such reservation' },
  'reservation-released': { status: 409, title: 'The reservation was released' },
  'reservation-committed': { status: 409, title: 'The reservation was committed' },
  'reservation-expired': { status: 409, title: 'The reservation has expired' },
} as const;
