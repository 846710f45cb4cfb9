import { nothing, refused } from '../../../../test/support/given.js';
import {
  committed,
  commits,
  expired,
  expires,
  from,
  given,
  received,
  receives,
  released,
  releases,
  reserved,
  reserves,
  sku,
} from '../../../../test/support/inventory-words.js';

const noon = '2026-01-31T12:00:00.000Z';
const justBefore = '2026-01-31T11:59:59.999Z';
const later = '2026-01-31T13:00:00.000Z';
/** Until noon. */
const atNoon = { expiresAt: noon, expiresInSeconds: 60 };

describe('reserving stock', () => {
  it('sets it aside', () => {
    given(received(10))
      .when(reserves('r1', 4))
      .then(reserved('r1', from('main', 4, [10, 4])))
      .creating(true)
      .scheduling()
      .answering({ reservationId: 'r1', sku, quantity: 4, status: 'reserved', allocations: [{ location: 'main', quantity: 4 }] });
  });

  it('takes all there is, and not one more', () => {
    given(received(10), reserved('r0', from('main', 4))).when(reserves('r1', 6)).then(reserved('r1', from('main', 6, [10, 10])));
    given(received(10), reserved('r0', from('main', 4)))
      .when(reserves('r1', 7))
      .then(refused('insufficient-stock', 'mug has 6 available, 7 is needed'));
    given().when(reserves('r1', 1)).then(refused('insufficient-stock', 'mug has 0 available, 1 is needed'));
  });

  it('takes from the locations in the order of their first receipts', () => {
    const shelves = [received(3, { location: 'z' }), received(4, { location: 'a' }), received(5, { location: 'z' })];
    given(...shelves).when(reserves('r1', 8)).then(reserved('r1', from('z', 8, [8, 8])));
    given(...shelves).when(reserves('r1', 9)).then(reserved('r1', [from('z', 8, [8, 8]), from('a', 1, [4, 1])]));
    given(...shelves, reserved('r0', from('z', 8))).when(reserves('r1', 4)).then(reserved('r1', from('a', 4, [4, 4])));
    given(...shelves).when(reserves('r1', 13)).then(refused('insufficient-stock', 'mug has 12 available, 13 is needed'));
  });

  it('does not count what has expired, from the moment on', () => {
    const stock = [received(10), reserved('r0', from('main', 10), atNoon)];
    given(...stock).at(justBefore).when(reserves('r1', 1)).then(refused('insufficient-stock'));
    given(...stock).at(noon).when(reserves('r1', 10)).then(reserved('r1', from('main', 10, [10, 10])));
  });

  it('for a while ends at a whole second, and that is scheduled', () => {
    given(received(10))
      .at('2026-01-31T11:45:00.001Z')
      .when(reserves('r1', 4, 900))
      .then(reserved('r1', from('main', 4, [10, 4]), { expiresAt: '2026-01-31T12:00:01.000Z', expiresInSeconds: 900 }))
      .answering(expect.objectContaining({ status: 'reserved', expiresAt: '2026-01-31T12:00:01.000Z' }))
      .scheduling({
        key: 'expire-reservation/mug/r1',
        type: 'inventory.expire-reservation',
        payload: { sku, reservationId: 'r1' },
        dueAt: '2026-01-31T12:00:01.000Z',
      });
  });

  it.each([
    [1, '2026-01-31T11:45:00.000Z', '2026-01-31T11:45:01.000Z'],
    [1, '2026-01-31T11:45:00.999Z', '2026-01-31T11:45:02.000Z'],
    [900, '2026-01-31T11:45:00.000Z', '2026-01-31T12:00:00.000Z'],
    [901, '2026-01-31T11:45:00.000Z', '2026-01-31T12:01:00.000Z'],
    [960, '2026-01-31T11:45:00.000Z', '2026-01-31T12:01:00.000Z'],
    [960, '2026-01-31T11:45:00.001Z', '2026-01-31T12:02:00.000Z'],
    [86_400, '2026-01-31T11:45:30.000Z', '2026-02-01T11:46:00.000Z'],
  ])('for %d s from %s ends at %s', (seconds, now, expiresAt) => {
    given(received(10)).at(now).when(reserves('r1', 1, seconds)).answering(expect.objectContaining({ expiresAt }));
  });

  describe('again', () => {
    const once = [received(10), reserved('r1', from('main', 4), atNoon)];

    it('with the same content changes nothing, and answers with what has become of it', () => {
      const answer = { reservationId: 'r1', sku, quantity: 4, allocations: [{ location: 'main', quantity: 4 }], expiresAt: noon };
      given(...once).at(justBefore).when(reserves('r1', 4, 60)).then(nothing).creating(false).answering({ ...answer, status: 'reserved' });
      given(...once).at(noon).when(reserves('r1', 4, 60)).then(nothing).answering({ ...answer, status: 'expired' });
      given(...once, released('r1', from('main', 4), noon)).when(reserves('r1', 4, 60)).then(nothing).answering({ ...answer, status: 'released' });
    });

    it.each([
      ['another quantity', 5, 60],
      ['another time', 4, 61],
      ['no time', 4, undefined],
    ])('with %s is refused', (_what, quantity, seconds) => {
      given(...once).when(reserves('r1', quantity, seconds)).then(refused('reservation-exists', 'reservation r1 of mug exists with other content'));
    });

    it('is refused when it was released before it was made', () => {
      given(received(10), released('r1', [])).when(reserves('r1', 4)).then(refused('reservation-released', 'reservation r1 was released'));
    });
  });
});

describe('committing a reservation', () => {
  it('ships what was reserved', () => {
    given(received(8, { location: 'z' }), received(4, { location: 'a' }), reserved('r0', from('a', 2)), reserved('r1', [from('z', 8), from('a', 1)]))
      .when(commits('r1'))
      .then(committed('r1', [from('z', 8, [0, 0]), from('a', 1, [3, 2])]))
      .creating(false)
      .answering({
        reservationId: 'r1',
        sku,
        quantity: 9,
        status: 'committed',
        allocations: [{ location: 'z', quantity: 8 }, { location: 'a', quantity: 1 }],
      });
  });

  it('again changes nothing', () => {
    given(received(10), reserved('r1', from('main', 4)), committed('r1', from('main', 4)))
      .when(commits('r1'))
      .then(nothing)
      .answering(expect.objectContaining({ status: 'committed' }));
  });

  it('is possible until it expires, and refused from that moment on, on record or not', () => {
    const stock = [received(10), reserved('r1', from('main', 4), atNoon)];
    given(...stock).at(justBefore).when(commits('r1')).then(committed('r1', from('main', 4, [6, 0]), noon));
    const detail = `reservation r1 has expired at ${noon}`;
    given(...stock).at(noon).when(commits('r1')).then(refused('reservation-expired', detail));
    given(...stock, expired('r1', from('main', 4), noon)).at(later).when(commits('r1')).then(refused('reservation-expired', detail));
  });

  it('that was committed in time stays committed', () => {
    given(received(10), reserved('r1', from('main', 4), atNoon), committed('r1', from('main', 4), noon))
      .at(later)
      .when(commits('r1'))
      .then(nothing)
      .answering(expect.objectContaining({ status: 'committed' }));
  });

  it('is refused when it was released, or never made', () => {
    given(received(10), reserved('r1', from('main', 4)), released('r1', from('main', 4))).when(commits('r1')).then(refused('reservation-released'));
    given(released('r1', [])).when(commits('r1')).then(refused('reservation-released'));
    given(received(10)).when(commits('r1')).then(refused('reservation-not-found', 'there is no reservation r1 of mug'));
  });
});

describe('releasing a reservation', () => {
  it('gives back what was reserved', () => {
    given(received(10), reserved('r1', from('main', 4)))
      .when(releases('r1'))
      .then(released('r1', from('main', 4, [10, 0])))
      .answering(expect.objectContaining({ status: 'released', quantity: 4 }));
  });

  it('changes nothing when it was released before, or has expired', () => {
    const stock = [received(10), reserved('r1', from('main', 4), atNoon)];
    given(...stock, released('r1', from('main', 4), noon)).when(releases('r1')).then(nothing).answering(expect.objectContaining({ status: 'released' }));
    given(...stock).at(noon).when(releases('r1')).then(nothing).answering(expect.objectContaining({ status: 'expired' }));
    given(...stock).at(justBefore).when(releases('r1')).then(released('r1', from('main', 4, [10, 0]), noon));
    given(...stock, expired('r1', from('main', 4), noon)).at(later).when(releases('r1', true)).then(nothing);
  });

  it('is refused when it was committed, or never made', () => {
    const stock = [received(10), reserved('r1', from('main', 4)), committed('r1', from('main', 4))];
    given(...stock).when(releases('r1')).then(refused('reservation-committed', 'reservation r1 was committed'));
    given(...stock).when(releases('r1', true)).then(refused('reservation-committed'));
    given(received(10)).when(releases('r1')).then(refused('reservation-not-found'));
  });

  it('even if it is not there, keeps it from being made', () => {
    given()
      .when(releases('r1', true))
      .then(released('r1', []))
      .answering({ reservationId: 'r1', sku, quantity: 0, status: 'released', allocations: [] });
    given(released('r1', [])).when(releases('r1', true)).then(nothing).answering(expect.objectContaining({ status: 'released' }));
    given(released('r1', [])).when(releases('r1')).then(nothing);
  });

  it('that is not there is no event of the stock', () => {
    given(received(10), released('r1', [])).when(receives(1)).answering(expect.objectContaining({ onHand: 11, reserved: 0 }));
  });
});

describe('the deadline of a reservation', () => {
  const stock = [received(10), reserved('r1', from('main', 4), atNoon)];

  it('puts on record that it has expired, which the stock has known since', () => {
    given(...stock, reserved('r2', from('main', 1)))
      .at(later)
      .when(expires('r1'))
      .then(expired('r1', from('main', 4, [10, 1]), noon))
      .answering(expect.objectContaining({ status: 'expired' }));
  });

  it('may be a few milliseconds early by the clock of the decision', () => {
    given(...stock).at(justBefore).when(expires('r1')).then(expired('r1', from('main', 4, [10, 0]), noon));
    given(...stock, expired('r1', from('main', 4), noon)).at(justBefore).when(reserves('r2', 10)).then(reserved('r2', from('main', 10, [10, 10])));
    given(...stock, expired('r1', from('main', 4), noon)).at(later).when(reserves('r2', 10)).then(reserved('r2', from('main', 10, [10, 10])));
    given(...stock, expired('r1', from('main', 4), noon)).at(justBefore).when(commits('r1')).then(refused('reservation-expired'));
  });

  it('leaves alone what was settled, or was never there', () => {
    given(...stock, committed('r1', from('main', 4), noon)).at(noon).when(expires('r1')).then(nothing).answering(null);
    given(...stock, released('r1', from('main', 4), noon)).at(noon).when(expires('r1')).then(nothing).answering(null);
    given(...stock, expired('r1', from('main', 4), noon)).at(noon).when(expires('r1')).then(nothing).answering(null);
    given().when(expires('r1')).then(nothing).answering(null);
  });
});
