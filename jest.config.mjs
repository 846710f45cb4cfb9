/**
 * Tests run as CommonJS: Jest can only `require` an ES module from Node 24.9 on, so
 * test/support/jest-transform.cjs turns our TypeScript and every ES module of a dependency into CommonJS.
 */
export default {
  rootDir: '.',
  roots: ['<rootDir>/src', '<rootDir>/test'],
  testMatch: ['**/*.spec.ts'],
  testEnvironment: 'node',
  transform: { '\\.([cm]?js|ts)$': '<rootDir>/test/support/jest-transform.cjs' },
  transformIgnorePatterns: [],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  // No test measures time: this ends what hangs, also on a machine that others keep busy.
  testTimeout: 120_000,
  // The suites start real servers; more workers than cores only makes each of them slower.
  maxWorkers: 2,
};
