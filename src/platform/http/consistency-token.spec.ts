import { formatToken, parseToken } from './consistency-token.js';

describe('a consistency token', () => {
  it('names partitions and positions', () => {
    expect(formatToken([{ partition: 7, position: 1042 }])).toBe('7@1042');
    expect(formatToken([{ partition: 3, position: 17 }, { partition: 7, position: 1042 }])).toBe('3@17,7@1042');
  });

  it('comes back as it was sent', () => {
    expect(parseToken('3@17,7@1042', 16)).toEqual([{ partition: 3, position: 17 }, { partition: 7, position: 1042 }]);
    expect(parseToken(' 3@17 , 7@1042 ', 16)).toHaveLength(2);
    expect(parseToken('0@0', 16)).toEqual([{ partition: 0, position: 0 }]);
  });

  it('of several positions in a partition, means the last', () => {
    expect(parseToken('7@5,7@9,7@1', 16)).toEqual([{ partition: 7, position: 9 }]);
  });

  it.each(['', ',', '7', '7@', '@7', '7@x', '-1@5', '7@-5', '7@1.5', '7@1e3', '7@5,', '16@1', '999@1', '7@1234567890123456', '7:5'])(
    'is refused when it is %j',
    (token) => {
      expect(() => parseToken(token, 16)).toThrow(expect.objectContaining({ code: 'bad-consistency-token' }));
    },
  );
});
