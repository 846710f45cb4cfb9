import type { DomainModule } from '../../../src/platform/domain-module.js';
import { EarnPointsHandler } from './commands/earn-points.js';
import { RedeemPointsHandler } from './commands/redeem-points.js';
import { RewardOrderHandler } from './commands/reward-order.js';
import { loyaltyEvents } from './domain/points.js';
import { loyaltyProblems } from './domain/problems.js';
import { LoyaltyController } from './loyalty.controller.js';
import { LoyaltyQueriesController } from './loyalty.queries.controller.js';
import { RewardCustomers } from './sagas/reward-customers.js';
import { GetPointsHandler, loyaltyPoints } from './views/points.js';

/** Points for what was bought. Partition key: the customer's id; of what is done for an order, the order's. */
export const loyaltyModule: DomainModule = {
  name: 'loyalty',
  events: loyaltyEvents,
  problems: loyaltyProblems,
  projections: [loyaltyPoints],
  commands: {
    controllers: [LoyaltyController],
    providers: [EarnPointsHandler, RedeemPointsHandler, RewardOrderHandler, RewardCustomers],
  },
  queries: {
    controllers: [LoyaltyQueriesController],
    providers: [GetPointsHandler],
  },
};
