import { DatabaseClock } from './database-clock.js';

describe("The database's clock", () => {
  let nowMs: number;
  let clock: DatabaseClock;
  const saw = (databaseMs: number) => clock.saw(new Date(databaseMs));

  beforeEach(() => {
    nowMs = 100;
    jest.spyOn(performance, 'now').mockImplementation(() => nowMs);
    clock = new DatabaseClock();
  });

  afterEach(() => jest.restoreAllMocks());

  it('goes on from what was seen', () => {
    saw(1_000_000);
    nowMs += 250;
    expect(clock.nowMs()).toBe(1_000_250);
  });

  it('is not behind by what the last answer waited for: a commit', () => {
    saw(1_000_000);
    nowMs += 1_000;
    saw(1_000_960);
    expect(clock.nowMs()).toBe(1_001_000);
  });

  it('is taken from an answer that came sooner than those before', () => {
    saw(999_960);
    nowMs += 1_000;
    saw(1_001_000);
    expect(clock.nowMs()).toBe(1_001_000);
  });

  it('is followed within a minute when it is set back', () => {
    saw(1_000_000);
    for (let second = 1; second <= 62; second++) {
      nowMs += 1_000;
      saw(500_000 + second * 1_000);
    }
    expect(clock.nowMs()).toBe(562_000);
  });

  it('is as the next answer says after a long silence, in which clocks drift', () => {
    saw(1_000_000);
    nowMs += 3_600_000;
    saw(4_599_800);
    expect(clock.nowMs()).toBe(4_599_800);
  });
});
