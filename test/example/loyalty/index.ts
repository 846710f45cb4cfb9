/** The face of the loyalty programme: what other modules may use. */
export { loyaltyModule } from './loyalty.module.js';
export { RedeemPoints } from './commands/redeem-points.js';
export { GetPoints } from './views/points.js';
export type { LoyaltyEvent } from './domain/points.js';
