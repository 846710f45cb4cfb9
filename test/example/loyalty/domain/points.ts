import { Rejection, type Decision, type States } from '../../../../src/platform/log/decision.js';
import {
  stream,
  unknownEvent,
  type Event,
  type EventModule,
  type Stream,
  type StreamType,
} from '../../../../src/platform/log/stream.js';

// ---- Events. Points earned belong to two streams: the customer's points, and the reward of the order.

export type PointsEarned = Event<'loyalty.points-earned.v1', { customerId: string; orderId: string; points: string }>;
export type PointsRedeemed = Event<'loyalty.points-redeemed.v1', { customerId: string; points: string }>;
export type LoyaltyEvent = PointsEarned | PointsRedeemed;

const streamsOfEarned = ({ customerId, orderId }: PointsEarned['data']) => [pointsStream(customerId), rewardStream(orderId)];
const streamsOfRedeemed = ({ customerId }: PointsRedeemed['data']) => [pointsStream(customerId)];

export const loyaltyEvents: EventModule = {
  events: [
    { type: 'loyalty.points-earned.v1', streams: streamsOfEarned },
    { type: 'loyalty.points-redeemed.v1', streams: streamsOfRedeemed },
  ],
};

// ---- State

export interface PointsState {
  readonly customerId: string;
  readonly balance: bigint;
  readonly version: number;
}

export const pointsType: StreamType<PointsState, LoyaltyEvent> = {
  name: 'points',
  stateVersion: 1,
  stateBytes: () => 200,
  initial: (customerId) => ({ customerId, balance: 0n, version: 0 }),
  evolve: evolvePoints,
};

export function pointsStream(customerId: string): Stream<PointsState> {
  return stream(pointsType, customerId);
}

function evolvePoints(state: PointsState, event: LoyaltyEvent): PointsState {
  const version = state.version + 1;
  switch (event.type) {
    case 'loyalty.points-earned.v1':
      return { ...state, balance: state.balance + BigInt(event.data.points), version };
    case 'loyalty.points-redeemed.v1':
      return { ...state, balance: state.balance - BigInt(event.data.points), version };
    default:
      return unknownEvent(event);
  }
}

/** Whether an order has earned its points. A stream of its own: a list of orders in the customer's would only grow. */
export const rewardType: StreamType<{ readonly isGiven: boolean }, PointsEarned> = {
  name: 'reward',
  stateVersion: 1,
  stateBytes: () => 100,
  initial: () => ({ isGiven: false }),
  evolve: () => ({ isGiven: true }),
  isWorthKeeping: () => false,
};

export function rewardStream(orderId: string): Stream<{ readonly isGiven: boolean }> {
  return stream(rewardType, orderId);
}

// ---- Decisions

/** A customer's points as writes answer with them; reads answer the same from the view. */
export interface PointsAnswer {
  readonly customerId: string;
  readonly balance: string;
  readonly version: number;
}

const minorUnitsPerPoint = 100n;

export interface EarnPointsInput {
  readonly customerId: string;
  readonly orderId: string;
  /** What was paid, in minor units. */
  readonly total: string;
}

/** One point per whole 100 minor units. An order earns once, however often somebody asks. */
export function earnPoints(states: States, { customerId, orderId, total }: EarnPointsInput): Decision<PointsAnswer> {
  const state = states.of(pointsStream(customerId));
  const points = BigInt(total) / minorUnitsPerPoint;
  if (points === 0n || states.of(rewardStream(orderId)).isGiven) return { events: [], answer: answerOf(state) };
  return changed(state, { type: 'loyalty.points-earned.v1', data: { customerId, orderId, points: points.toString() } });
}

export interface RedeemPointsInput {
  readonly customerId: string;
  readonly points: string;
}

/** Refusals: not-enough-points. */
export function redeemPoints(states: States, { customerId, points }: RedeemPointsInput): Decision<PointsAnswer> {
  const state = states.of(pointsStream(customerId));
  if (state.balance < BigInt(points)) {
    throw new Rejection('not-enough-points', `customer ${customerId} has ${state.balance} points, ${points} are needed`);
  }
  return { ...changed(state, { type: 'loyalty.points-redeemed.v1', data: { customerId, points } }), created: true };
}

function changed(state: PointsState, event: LoyaltyEvent): Decision<PointsAnswer> {
  return { events: [event], answer: answerOf(evolvePoints(state, event)) };
}

function answerOf({ customerId, balance, version }: PointsState): PointsAnswer {
  return { customerId, balance: balance.toString(), version };
}
