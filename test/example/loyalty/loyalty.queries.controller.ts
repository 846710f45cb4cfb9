import { Controller, Get, Param } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { endpoints } from '../../../src/platform/http/endpoint.js';
import { QueryGateway, Reading, type ReadRequest } from '../../../src/platform/http/query-gateway.js';
import { loyaltyProblems } from './domain/problems.js';
import * as schemas from './loyalty.schemas.js';
import { GetPoints, loyaltyPoints } from './views/points.js';

const { ReadEndpoint } = endpoints(loyaltyProblems);

@ApiTags('Loyalty')
@Controller('v1/customers/:customerId/points')
export class LoyaltyQueriesController {
  constructor(private readonly queries: QueryGateway) {}

  @Get()
  @ReadEndpoint({ summary: "A customer's points", answers: { 200: schemas.pointsAnswer } })
  getPoints(
    @Param({ schema: schemas.customerParams }) { customerId }: z.output<typeof schemas.customerParams>,
    @Reading() request: ReadRequest,
  ) {
    return this.queries.resource([loyaltyPoints], new GetPoints(customerId), request);
  }
}
