import { Body, Controller, Param, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { CommandGateway } from '../../../src/platform/commands/command-gateway.js';
import { endpoints } from '../../../src/platform/http/endpoint.js';
import { Writing, type WriteRequest } from '../../../src/platform/http/write-request.js';
import { RedeemPoints } from './commands/redeem-points.js';
import { loyaltyProblems } from './domain/problems.js';
import * as schemas from './loyalty.schemas.js';

const { WriteEndpoint } = endpoints(loyaltyProblems);

@ApiTags('Loyalty')
@Controller('v1/customers/:customerId/points')
export class LoyaltyController {
  constructor(private readonly commands: CommandGateway) {}

  @Post('redemptions')
  @WriteEndpoint({
    summary: 'Redeem points',
    answers: { 201: schemas.pointsAnswer },
    problems: ['not-enough-points'],
  })
  redeemPoints(
    @Param({ schema: schemas.customerParams }) params: z.output<typeof schemas.customerParams>,
    @Body({ schema: schemas.redeemPointsBody }) body: z.output<typeof schemas.redeemPointsBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(RedeemPoints, { ...params, ...body }, request);
  }
}
