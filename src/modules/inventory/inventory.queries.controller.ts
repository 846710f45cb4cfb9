import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { endpoints } from '../../platform/http/endpoint.js';
import { QueryGateway, Reading, type ReadRequest } from '../../platform/http/query-gateway.js';
import { inventoryProblems } from './domain/problems.js';
import * as schemas from './inventory.schemas.js';
import { inventoryMovements, ListMovements } from './views/movements.js';
import { GetReservation, inventoryReservations } from './views/reservations.js';
import { GetStock, inventoryStock } from './views/stock.js';

const { ListEndpoint, ReadEndpoint } = endpoints(inventoryProblems);

@ApiTags('Inventory')
@Controller('v1/stock/:sku')
export class InventoryQueriesController {
  constructor(private readonly queries: QueryGateway) {}

  @Get()
  @ReadEndpoint({
    summary: 'What there is of a SKU, and where',
    answers: { 200: schemas.stockView },
    problems: ['stock-not-found'],
  })
  getStock(
    @Param({ schema: schemas.stockParams }) { sku }: z.output<typeof schemas.stockParams>,
    @Reading() request: ReadRequest,
  ) {
    return this.queries.resource([inventoryStock], new GetStock(sku), request);
  }

  @Get('movements')
  @ListEndpoint({
    summary: 'What changed on hand and reserved, newest first',
    answers: { 200: schemas.movementsPage },
    problems: ['stock-not-found'],
  })
  listMovements(
    @Param({ schema: schemas.stockParams }) { sku }: z.output<typeof schemas.stockParams>,
    @Query({ schema: schemas.movementsQuery }) query: z.output<typeof schemas.movementsQuery>,
    @Reading() request: ReadRequest,
  ) {
    return this.queries.page([inventoryMovements], new ListMovements(sku, query), request);
  }

  @Get('reservations/:reservationId')
  @ReadEndpoint({
    summary: 'A reservation and its status',
    answers: { 200: schemas.reservationAnswer },
    problems: ['reservation-not-found'],
  })
  getReservation(
    @Param({ schema: schemas.reservationParams }) params: z.output<typeof schemas.reservationParams>,
    @Reading() request: ReadRequest,
  ) {
    const { sku, reservationId } = params;
    return this.queries.resource([inventoryReservations], new GetReservation(sku, reservationId), request);
  }
}
