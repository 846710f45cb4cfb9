import { Module } from '@nestjs/common';
import { ProjectionCatalogue } from '../../../src/platform/consumers/projection-catalogue.js';
import { ProblemCatalogue } from '../../../src/platform/http/problem.js';
import { EventCatalogue } from '../../../src/platform/log/catalogue.js';
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
@Module({
  controllers: [LoyaltyController, LoyaltyQueriesController],
  providers: [EarnPointsHandler, RedeemPointsHandler, RewardOrderHandler, GetPointsHandler, RewardCustomers],
})
export class LoyaltyModule {
  constructor(events: EventCatalogue, problems: ProblemCatalogue, projections: ProjectionCatalogue) {
    events.add(loyaltyEvents);
    problems.add(loyaltyProblems);
    projections.add(loyaltyPoints);
  }
}
