import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { endpoints } from '../../platform/http/endpoint.js';
import { QueryGateway, Reading, type ReadRequest } from '../../platform/http/query-gateway.js';
import { orderingProblems } from './domain/problems.js';
import * as schemas from './ordering.schemas.js';
import { GetOrder, ListOrders, orderingOrders } from './views/orders.js';

const { ListEndpoint, ReadEndpoint } = endpoints(orderingProblems);

@ApiTags('Orders')
@Controller('v1/orders')
export class OrderingQueriesController {
  constructor(private readonly queries: QueryGateway) {}

  @Get(':orderId')
  @ReadEndpoint({ summary: 'An order', answers: { 200: schemas.orderAnswer }, problems: ['order-not-found'] })
  getOrder(
    @Param({ schema: schemas.orderParams }) { orderId }: z.output<typeof schemas.orderParams>,
    @Reading() request: ReadRequest,
  ) {
    return this.queries.resource([orderingOrders], new GetOrder(orderId), request);
  }

  @Get()
  @ListEndpoint({ summary: 'Orders, newest first', answers: { 200: schemas.ordersPage } })
  listOrders(
    @Query({ schema: schemas.ordersQuery }) query: z.output<typeof schemas.ordersQuery>,
    @Reading() request: ReadRequest,
  ) {
    return this.queries.page([orderingOrders], new ListOrders(query), request);
  }
}
