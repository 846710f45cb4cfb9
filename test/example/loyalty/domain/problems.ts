/** The refusals of the loyalty programme. */
export const loyaltyProblems = {
  'not-enough-points': { status: 409, title: 'The customer has not enough points' },
} as const;
