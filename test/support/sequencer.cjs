const { default: TestSequencer } = require('@jest/test-sequencer');

/**
 * The suites that take minutes begin early, one at a time among the others. Jest, where it has no times of a former run,
 * goes by the files' sizes, which say nothing here: one that kills a server twenty times came last, and kept one core
 * waiting for two minutes.
 */
module.exports = class extends TestSequencer {
  sort(tests) {
    const inItsOrder = super.sort(tests);
    const takesMinutes = ({ path }) => /\/test\/(chaos|docker|torture)\//.test(path);
    const slow = inItsOrder.filter(takesMinutes);
    const others = inItsOrder.filter((test) => !takesMinutes(test));
    return [...slow.flatMap((test) => [test, ...others.splice(0, 2)]), ...others];
  }
};
