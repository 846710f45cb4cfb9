import { nothing, refused, scenariosOf, type Decider } from '../../../support/given.js';
import {
  earnPoints,
  loyaltyEvents,
  pointsStream,
  pointsType,
  redeemPoints,
  rewardStream,
  rewardType,
  type PointsAnswer,
  type PointsEarned,
  type PointsRedeemed,
} from './points.js';

const given = scenariosOf(loyaltyEvents, [pointsType, rewardType]);

const earned = (orderId: string, points: string, customerId = 'ann'): PointsEarned => ({
  type: 'loyalty.points-earned.v1',
  data: { customerId, orderId, points },
});
const redeemed = (points: string): PointsRedeemed => ({
  type: 'loyalty.points-redeemed.v1',
  data: { customerId: 'ann', points },
});
const earns = (orderId: string, total: string): Decider<PointsAnswer> => ({
  streams: () => [pointsStream('ann'), rewardStream(orderId)],
  decide: (states) => earnPoints(states, { customerId: 'ann', orderId, total }),
});
const redeems = (points: string): Decider<PointsAnswer> => ({
  streams: () => [pointsStream('ann')],
  decide: (states) => redeemPoints(states, { customerId: 'ann', points }),
});

describe('earning points', () => {
  it('gives one for each whole 100 minor units', () => {
    given().when(earns('o1', '1299')).then(earned('o1', '12')).answering({ customerId: 'ann', balance: '12', version: 1 });
    given().when(earns('o1', '100')).then(earned('o1', '1'));
  });

  it('gives none for less', () => {
    given().when(earns('o1', '99')).then(nothing).answering({ customerId: 'ann', balance: '0', version: 0 });
    given().when(earns('o1', '0')).then(nothing);
  });

  it('happens once per order', () => {
    given(earned('o1', '12')).when(earns('o1', '1299')).then(nothing).answering({ customerId: 'ann', balance: '12', version: 1 });
    given(earned('o1', '12')).when(earns('o2', '500')).then(earned('o2', '5')).answering({ customerId: 'ann', balance: '17', version: 2 });
  });

  it('is exact beyond what a float or 64 bits can hold', () => {
    const most = (2n ** 63n - 1n).toString();
    given(earned('o1', most))
      .when(earns('o2', '300'))
      .then(earned('o2', '3'))
      .answering({ customerId: 'ann', balance: (2n ** 63n + 2n).toString(), version: 2 });
  });
});

describe('redeeming points', () => {
  it('takes them off', () => {
    given(earned('o1', '12'))
      .when(redeems('5'))
      .then(redeemed('5'))
      .creating(true)
      .answering({ customerId: 'ann', balance: '7', version: 2 });
  });

  it('goes down to the last one, and no further', () => {
    given(earned('o1', '12'), redeemed('2')).when(redeems('10')).then(redeemed('10'));
    given(earned('o1', '12'), redeemed('2'))
      .when(redeems('11'))
      .then(refused('not-enough-points', 'customer ann has 10 points, 11 are needed'));
  });

  it('is refused to who never earned any, and does not touch what others have', () => {
    given(earned('o1', '12', 'bob')).when(redeems('1')).then(refused('not-enough-points', /^customer ann has 0 points/));
  });
});
