import { Body, Controller, Param, Post } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiTags } from '@nestjs/swagger';
import { v5 } from 'uuid';
import type { z } from 'zod';
import { CommandGateway, type Answered } from '../../platform/commands/command-gateway.js';
import type { LogCommandClass } from '../../platform/commands/log-command.js';
import { endpoints } from '../../platform/http/endpoint.js';
import { emptyBodySchema } from '../../platform/http/schemas.js';
import { Writing, type WriteRequest } from '../../platform/http/write-request.js';
import { LogWriter, type Outcome } from '../../platform/log/writer.js';
import { newId } from '../../shared/ids.js';
import { CancelOrder } from './commands/cancel-order.js';
import { FulfilOrder } from './commands/fulfil-order.js';
import { LookAtOrder } from './commands/look-at-order.js';
import { PlaceOrder } from './commands/place-order.js';
import { RequestRefund } from './commands/request-refund.js';
import { answerOf, orderStream, withoutRefusal, type OrderAnswer, type Refusal } from './domain/order.js';
import { inventoryProblems } from '../inventory/index.js';
import { ledgerProblems } from '../ledger/index.js';
import { orderingProblems } from './domain/problems.js';
import { OrderNews } from './order-news.js';
import * as schemas from './ordering.schemas.js';

/** An order is refused with the reasons of those it asks. It is the order that can not be had or go on then: 409 for all of them. */
const httpStatusOfRefusal = 409;
const asConflict = <Problem extends object>(problem: Problem) => ({ ...problem, status: httpStatusOfRefusal });
const { WriteEndpoint } = endpoints({
  ...ledgerProblems,
  ...inventoryProblems,
  ...orderingProblems,
  'account-not-found': asConflict(ledgerProblems['account-not-found']),
  'transaction-not-found': asConflict(ledgerProblems['transaction-not-found']),
  'reservation-not-found': asConflict(inventoryProblems['reservation-not-found']),
});

/** Of ids that follow from an Idempotency-Key (RFC 9562, version 5). */
const keyedIds = '2f1c7a4e-3c2b-5d0a-9a43-6f3a1f0f6e57';

/** With a key the id follows from it: a retry has to fall into the partition of its first try, and be known there. */
function idFor({ idempotencyKey, scope }: WriteRequest): string {
  return idempotencyKey === undefined ? newId() : v5(`${scope}\n${idempotencyKey}`, keyedIds);
}

/** Of `Prefer`, for the writes that have something to wait for. The contract names keys and bodies, and this stands beside it. */
const preferenceDescription =
  'What `Prefer: wait=<seconds>` was waited for is answered with `Preference-Applied: wait`, also when time was up (202). ' +
  '`Prefer` is no part of the request that an `Idempotency-Key` stands for: a repetition with the same key and body is the ' +
  'same write, and is answered the way it asks for itself: at once, with what came of it, or as accepted. With the same ' +
  '`Prefer` it has the same status and body, unless time was up before and is not now.';

/** So long the answer to a fulfilment or refund waits for it to be done, unless the client says otherwise. */
const usualWaitSeconds = 10;

@ApiTags('Orders')
@Controller('v1/orders')
export class OrderingController {
  constructor(
    private readonly commands: CommandGateway,
    private readonly bus: CommandBus,
    private readonly writer: LogWriter,
    private readonly news: OrderNews,
  ) {}

  @Post()
  @WriteEndpoint({
    summary: 'Place an order. It is checked out at once: `Prefer: wait=<seconds>` answers with the verdict',
    description:
      'An `orderId` that exists already, with the same content, is answered with 200 and the order as it is, also when it was ' +
      'rejected or cancelled. With `Prefer: wait` an order that has no verdict yet is waited for first; without, or when time is ' +
      `up, it is still \`placed\`.\n\n${preferenceDescription}`,
    answers: { 200: schemas.orderAnswer, 201: schemas.orderAnswer, 202: schemas.orderAnswer },
    problems: [
      'order-exists',
      'product-not-available',
      'reservation-released',
      'reservation-exists',
      'insufficient-stock',
      'transaction-exists',
      'account-not-found',
      'account-closed',
      'currency-mismatch',
      'same-account',
      'amount-out-of-range',
      'insufficient-funds',
      'payment-timeout',
      'order-cancelled',
    ],
  })
  placeOrder(
    @Body({ schema: schemas.placeOrderBody }) { orderId: ownId, ...body }: z.output<typeof schemas.placeOrderBody>,
    @Writing() request: WriteRequest,
  ) {
    const recordKey = request.idempotencyKey === undefined ? undefined : idFor(request);
    const orderId = ownId ?? recordKey ?? newId();
    // An id that was made of an Idempotency-Key is new as well, or its command is done and the record of that is found.
    const isNew = ownId === undefined;
    const checksOut = request.waitSeconds > 0 || request.prefersAsync;
    const input = { ...body, orderId, isNew, checksOut };
    return this.run(PlaceOrder, input, request, request.waitSeconds, checkoutVerdict, { existingVerdict, recordKey });
  }

  @Post(':orderId/cancel')
  @WriteEndpoint({
    summary: 'Cancel an order before it is fulfilled: stock and payment are given back',
    answers: { 200: schemas.orderAnswer },
    problems: ['order-not-found', 'not-cancellable'],
  })
  cancelOrder(
    @Param({ schema: schemas.orderParams }) params: z.output<typeof schemas.orderParams>,
    @Body({ schema: schemas.cancelBody }) body: z.output<typeof schemas.cancelBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(CancelOrder, { ...params, ...body }, request);
  }

  @Post(':orderId/fulfil')
  @WriteEndpoint({
    summary: 'Fulfil a confirmed order: the payment is captured, the stock committed',
    description:
      'Both or neither. When somebody has taken the payment or the stock away from the order, in the ledger or the inventory, the ' +
      `order stays \`confirmed\`, with the \`refusal\`: it can be cancelled.\n\n${preferenceDescription}`,
    answers: { 200: schemas.orderAnswer, 202: schemas.orderAnswer },
    problems: [
      'order-not-found',
      'not-confirmed',
      'transaction-not-found',
      'not-pending',
      'reservation-not-found',
      'reservation-released',
      'reservation-expired',
    ],
  })
  fulfilOrder(
    @Param({ schema: schemas.orderParams }) params: z.output<typeof schemas.orderParams>,
    @Body({ schema: emptyBodySchema }) _body: z.output<typeof emptyBodySchema>,
    @Writing() request: WriteRequest,
  ) {
    return this.run(FulfilOrder, params, request, request.waitSeconds || usualWaitSeconds, fulfilmentVerdict);
  }

  @Post(':orderId/refunds')
  @WriteEndpoint({
    summary: 'Refund a fulfilled order, all of it or in part',
    description: preferenceDescription,
    answers: { 201: schemas.refundAnswer, 202: schemas.orderAnswer },
    problems: [
      'order-not-found',
      'not-refundable',
      'refund-exceeds-quantity',
      'refund-exceeds-captured',
      'already-reversed',
      'transaction-exists',
      'account-closed',
      'amount-out-of-range',
      'insufficient-funds',
      'too-many-locations',
      'quantity-out-of-range',
    ],
  })
  refundOrder(
    @Param({ schema: schemas.orderParams }) { orderId }: z.output<typeof schemas.orderParams>,
    @Body({ schema: schemas.refundBody }) body: z.output<typeof schemas.refundBody>,
    @Writing() request: WriteRequest,
  ) {
    const refundId = idFor(request);
    const waitSeconds = request.waitSeconds || usualWaitSeconds;
    return this.run(RequestRefund, { orderId, refundId, ...body }, request, waitSeconds, refundVerdict(refundId));
  }

  /**
   * Runs the command and waits for what comes of it; 202 when that takes longer than the client cares to wait. A create
   * of what exists already has a verdict of its own, and is answered with what exists.
   */
  private async run<Input extends { readonly orderId: string }>(
    command: LogCommandClass<Input>,
    input: Input,
    request: WriteRequest,
    waitSeconds: number,
    newVerdict: Verdict,
    { existingVerdict, recordKey }: { existingVerdict?: Verdict; recordKey?: string } = {},
  ): Promise<string> {
    const { orderId } = input;
    const waits = waitSeconds > 0 && !request.prefersAsync;
    const afterwards = async (outcome: Outcome): Promise<Answered> => {
      if (waits && request.waitSeconds > 0) void request.reply.header('preference-applied', 'wait');
      if (outcome.status === 'refused') return outcome;
      const creates = existingVerdict !== undefined;
      const isExisting = creates && !outcome.created;
      // It says what has become of it since, not only what the verdict was.
      if (isExisting && hasVerdict(outcome)) return this.withReach(outcome, outcome);
      const verdict = isExisting ? existingVerdict : newVerdict;
      const deadlineMs = performance.now() + waitSeconds * 1_000;
      const answer = waits ? (answerWith(verdict, outcome) ?? (await this.awaitVerdict(orderId, verdict, outcome, deadlineMs, request))) : undefined;
      if (answer || isExisting) return this.withReach(answer ?? outcome, outcome);
      void request.reply.header('location', `/v1/orders/${orderId}`);
      return { ...outcome, httpStatus: 202, answer: creates ? asPlaced(outcome) : outcome.answer };
    };
    return this.commands.run(command, input, request, { afterwards, recordKey });
  }

  /** With how far the log is where the order's stock and money are: what was done there on the way to a verdict is in it. */
  private async withReach(answer: Answered, order: Executed): Promise<Answered> {
    if (answer.status === 'refused' || answer.also) return answer;
    const { lines, payment } = JSON.parse(order.answer) as OrderAnswer;
    const partitionKeys = [...lines.map(({ sku }) => sku), payment.ledger];
    return { ...answer, also: await this.news.reachOf([...new Set(partitionKeys.map((key) => this.writer.partitionOf(key)))]) };
  }

  /** What the write is answered with when it has its verdict; undefined when that takes too long. */
  private async awaitVerdict(
    orderId: string,
    verdict: Verdict,
    { replayed }: Executed,
    deadlineMs: number,
    request: WriteRequest,
  ): Promise<Answered | undefined> {
    const watch = this.news.watch(orderId);
    try {
      // What came before the watch began is in the log; and so is what has become of an order whose answer is of long ago.
      for (let goOn = true; ; goOn = await watch.next(deadlineMs)) {
        const latest = this.held(orderId, verdict) ?? (await this.look(orderId, request));
        const answer = answerWith(verdict, { ...latest, replayed });
        if (answer || !goOn) return answer;
      }
    } finally {
      watch.stop();
    }
  }

  /** What is in memory, if it has the verdict, which no later event changes. This process has mostly just committed it. */
  private held(orderId: string, verdict: Verdict): Executed | undefined {
    const held = this.writer.held(orderId, orderStream(orderId));
    if (!held) return undefined;
    const order = answerOf(held.state);
    if (!verdict(order)) return undefined;
    const { partition, position } = held;
    return { partition, position, replayed: false, status: 'executed', created: false, answer: JSON.stringify(order) };
  }

  private async look(orderId: string, { metadata }: WriteRequest): Promise<Executed> {
    const outcome = await this.bus.execute<Outcome>(new LookAtOrder({ orderId }, { commandId: newId(), metadata }));
    if (outcome.status === 'refused') throw new Error(`a look at an order was refused: ${outcome.rejection.code}`);
    return outcome;
  }
}

type Executed = Extract<Outcome, { status: 'executed' }>;

/**
 * What a waiting write is answered with, or undefined while it has to wait. The order may have gone on since: a retry
 * with the same key gets the same answer, so it says what was so when the wait had ended.
 */
type Verdict = (order: OrderAnswer) => { httpStatus: number; answer: string } | Refusal | undefined;

function answerWith(verdict: Verdict, outcome: Executed): Answered | undefined {
  const found = verdict(JSON.parse(outcome.answer) as OrderAnswer);
  if (!found) return undefined;
  if (!('code' in found)) return { ...outcome, ...found };
  const { partition, position, replayed } = outcome;
  return { partition, position, replayed, status: 'refused', rejection: found, httpStatus: httpStatusOfRefusal };
}

const checkoutVerdict: Verdict = (order) => {
  const verdict = order.history[1];
  if (!verdict) return undefined;
  if (verdict.status === 'rejected') return order.refusal;
  if (verdict.status === 'cancelled') return { code: 'order-cancelled', detail: `order ${order.orderId} was cancelled` };
  return { httpStatus: 201, answer: JSON.stringify(asOf(order, 1)) };
};

/** Whatever the verdict on it was: that it exists is no refusal. */
const existingVerdict: Verdict = (order) => (order.history[1] ? { httpStatus: 200, answer: JSON.stringify(asOf(order, 1)) } : undefined);

/** Also where the order was turned away as it was placed: who does not wait for the verdict is not told of it. */
const asPlaced = ({ answer }: Executed): string => JSON.stringify(asOf(JSON.parse(answer) as OrderAnswer, 0));

const hasVerdict = ({ answer }: Executed): boolean => (JSON.parse(answer) as OrderAnswer).history.length > 1;

const fulfilmentVerdict: Verdict = (order) => {
  const fulfilled = order.history.findIndex(({ status }) => status === 'fulfilled');
  if (fulfilled < 0) return order.refusal;
  return { httpStatus: 200, answer: JSON.stringify(asOf(order, fulfilled)) };
};

const refundVerdict =
  (refundId: string): Verdict =>
  ({ refunds }) => {
    const refund = refunds.find((one) => one.refundId === refundId);
    if (!refund || refund.status === 'requested') return undefined;
    return refund.refusal ?? { httpStatus: 201, answer: JSON.stringify(refund) };
  };

/** The order when it had come so far in its history, before any fulfilment was refused and any refund was asked for. */
function asOf(order: OrderAnswer, index: number): OrderAnswer {
  const history = order.history.slice(0, index + 1);
  const { status } = history[index]!;
  return { ...(status === 'rejected' ? order : withoutRefusal(order)), status, history, refunds: [] };
}
