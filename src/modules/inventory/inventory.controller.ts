import { Body, Controller, Param, Post } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { CommandGateway } from '../../platform/commands/command-gateway.js';
import { endpoints } from '../../platform/http/endpoint.js';
import { Writing, type WriteRequest } from '../../platform/http/write-request.js';
import { newId } from '../../shared/ids.js';
import { AdjustStock } from './commands/adjust-stock.js';
import { CommitReservation } from './commands/commit-reservation.js';
import { ReceiveStock } from './commands/receive-stock.js';
import { ReleaseReservation } from './commands/release-reservation.js';
import { ReserveStock } from './commands/reserve-stock.js';
import { inventoryProblems } from './domain/problems.js';
import * as schemas from './inventory.schemas.js';

const { WriteEndpoint } = endpoints(inventoryProblems);

@ApiTags('Inventory')
@Controller('v1/stock/:sku')
export class InventoryController {
  constructor(private readonly commands: CommandGateway) {}

  @Post('receipts')
  @WriteEndpoint({
    summary: 'Receive stock at a location',
    answers: { 201: schemas.stockAnswer },
    problems: ['too-many-locations', 'quantity-out-of-range'],
  })
  receiveStock(
    @Param({ schema: schemas.stockParams }) { sku }: z.output<typeof schemas.stockParams>,
    @Body({ schema: schemas.receiveBody }) body: z.output<typeof schemas.receiveBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(ReceiveStock, { sku, ...body }, request);
  }

  @Post('adjustments')
  @WriteEndpoint({
    summary: 'Correct what is on hand where stock was received before; never below what is reserved',
    answers: { 201: schemas.stockAnswer },
    problems: ['stock-not-found', 'quantity-out-of-range', 'insufficient-stock'],
  })
  adjustStock(
    @Param({ schema: schemas.stockParams }) { sku }: z.output<typeof schemas.stockParams>,
    @Body({ schema: schemas.adjustBody }) body: z.output<typeof schemas.adjustBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(AdjustStock, { sku, ...body }, request);
  }

  @Post('reservations')
  @WriteEndpoint({
    summary: 'Reserve stock for a while, over several locations if it must; all of it or nothing',
    answers: { 201: schemas.reservationAnswer, 200: schemas.reservationAnswer },
    problems: ['reservation-released', 'reservation-exists', 'insufficient-stock'],
  })
  reserveStock(
    @Param({ schema: schemas.stockParams }) { sku }: z.output<typeof schemas.stockParams>,
    @Body({ schema: schemas.reserveBody }) { reservationId, ...body }: z.output<typeof schemas.reserveBody>,
    @Writing() request: WriteRequest,
  ) {
    const id = reservationId === undefined ? { reservationId: newId(), isNew: true } : { reservationId };
    return this.commands.run(ReserveStock, { sku, ...id, ...body }, request);
  }

  @Post('reservations/:reservationId/release')
  @WriteEndpoint({
    summary: 'Give back what was reserved; changes nothing when it was released before or has expired',
    answers: { 200: schemas.reservationAnswer },
    problems: ['reservation-not-found', 'reservation-committed'],
  })
  releaseReservation(
    @Param({ schema: schemas.reservationParams }) params: z.output<typeof schemas.reservationParams>,
    @Body({ schema: schemas.emptyBody }) _body: z.output<typeof schemas.emptyBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(ReleaseReservation, params, request);
  }

  @Post('reservations/:reservationId/commit')
  @WriteEndpoint({
    summary: 'Ship what was reserved: on hand falls; changes nothing when it was committed before',
    answers: { 200: schemas.reservationAnswer },
    problems: ['reservation-not-found', 'reservation-released', 'reservation-expired'],
  })
  commitReservation(
    @Param({ schema: schemas.reservationParams }) params: z.output<typeof schemas.reservationParams>,
    @Body({ schema: schemas.emptyBody }) _body: z.output<typeof schemas.emptyBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(CommitReservation, params, request);
  }
}
