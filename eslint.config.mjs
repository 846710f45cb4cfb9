import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const unusedVars = [
  'error',
  { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_', ignoreRestSiblings: true },
];

const noEnvironment = {
  selector: "MemberExpression[object.name='process'][property.name='env']",
  message: 'Only src/config.ts reads the environment: add the variable there and take it from Config.',
};

/** What Node and every JavaScript engine have; `no-undef` is for the files that no compiler checks. */
const nodeGlobals = Object.fromEntries(
  [
    ...['AbortController', 'AbortSignal', 'Buffer', 'URL', 'URLSearchParams', 'TextDecoder', 'TextEncoder', 'clearImmediate'],
    ...['clearInterval', 'clearTimeout', 'console', 'fetch', 'performance', 'process', 'setImmediate', 'setInterval'],
    ...['setTimeout', 'structuredClone', 'queueMicrotask'],
  ].map((name) => [name, 'readonly']),
);

export default tseslint.config(
  { ignores: ['**/dist/', '**/node_modules/', 'coverage/', '.rialto/', '.scratch/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['**/*.mjs'],
    languageOptions: { globals: nodeGlobals },
    rules: { 'no-unused-vars': unusedVars },
  },
  {
    files: ['**/*.cjs'],
    languageOptions: { sourceType: 'commonjs', globals: nodeGlobals },
    rules: { 'no-unused-vars': unusedVars },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommended],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-unused-vars': unusedVars,
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      // A promise that nobody waits for fails where nobody sees it, and its work may outlive the process.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      // A variable that a closure reads before it is assigned can not be const.
      'prefer-const': ['error', { ignoreReadBeforeAssign: true }],
      // The compiler says it better.
      'no-undef': 'off',
    },
  },
  {
    // Nest takes constructor parameters from the types that a decorated class's compiled code still mentions.
    files: ['src/**/*.ts', 'test/example/**/*.ts'],
    rules: { '@typescript-eslint/consistent-type-imports': 'off' },
  },
  {
    files: ['src/**/*.ts'],
    // The entry points hand it to readConfig.
    ignores: ['src/config.ts', 'src/main.ts', 'src/cli/client/client-tool.ts', 'src/cli/tool/command-line.ts', 'src/cli/flash-sale.ts', 'src/cli/migrate.ts', 'src/cli/topology.ts', 'src/**/*.spec.ts'],
    rules: { 'no-restricted-syntax': ['error', noEnvironment] },
  },
  {
    // A decision is run again after a lost race, and a fold in a year's time: both must come out the same.
    files: ['src/**/domain/**/*.ts', 'test/example/**/domain/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        { name: 'Date', message: 'The time is an argument: context.now of a decision, recordedAt of a fold.' },
        { name: 'performance', message: 'The time is an argument: context.now of a decision, recordedAt of a fold.' },
        { name: 'process', message: 'A domain knows nothing of the process it runs in.' },
        { name: 'crypto', message: 'Ids are arguments of the decision: the controller makes them.' },
        { name: 'setTimeout', message: 'Decisions are synchronous. What is to happen later is a scheduled command.' },
        { name: 'setInterval', message: 'Decisions are synchronous. What is to happen later is a scheduled command.' },
        { name: 'setImmediate', message: 'Decisions are synchronous. What is to happen later is a scheduled command.' },
        { name: 'fetch', message: 'What a decision needs to know is an argument: the handler looks it up.' },
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'Chance is an argument of the decision, like the time.' },
        { object: 'globalThis', property: 'Date', message: 'The time is an argument.' },
      ],
      'no-restricted-imports': [
        'error',
        { patterns: [{ group: ['node:*', '@nestjs/*', 'typeorm', 'pg', 'uuid', 'fastify'], message: 'A domain is plain functions of state and input.' }] },
      ],
      'no-restricted-syntax': [
        'error',
        noEnvironment,
        { selector: 'AwaitExpression, FunctionDeclaration[async=true], ArrowFunctionExpression[async=true], MethodDefinition > FunctionExpression[async=true]', message: 'Decisions and folds are synchronous.' },
      ],
    },
  },
);
