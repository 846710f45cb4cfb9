/**
 * The boundaries of docs/ARCHITECTURE.md, as rules. test/architecture/boundaries.spec.ts plants a violation of each
 * and expects it to be reported. Type-only imports count too: a boundary that a type crosses is crossed.
 *
 * @type {import('dependency-cruiser').IConfiguration}
 */
module.exports = {
  forbidden: [
    {
      name: 'modules-meet-at-index',
      comment:
        "A module's inside is its own. Import from the other module's index.ts; if what you need is not there, ask " +
        'whether it should be, or react to its events instead.',
      severity: 'error',
      from: { path: '^src/modules/([^/]+)/' },
      to: { path: '^src/modules/([^/]+)/', pathNot: ['^src/modules/$1/', '^src/modules/[^/]+/index\\.ts$'] },
    },
    {
      name: 'platform-knows-no-module',
      comment:
        'The platform knows events and never an order, a SKU or an account. Let the module hand in what differs ' +
        '(an EventModule, a Projection, ProblemKinds), as <module>.module.ts does with the catalogues.',
      severity: 'error',
      from: { path: '^src/(platform|shared)/' },
      to: { path: '^src/(modules|app\\.module|main|cli)' },
    },
    {
      name: 'domain-is-pure',
      comment:
        'A domain is plain functions of state and input. It may import its own files, shared/ and of the platform ' +
        'only log/stream.ts and log/decision.ts. Anything looked up (a price, the time, an id) is an argument that ' +
        'the handler or the controller passes.',
      severity: 'error',
      from: { path: '^src/modules/([^/]+)/domain/', pathNot: '\\.spec\\.ts$' },
      to: {
        pathNot: ['^src/modules/$1/domain/', '^src/shared/', '^src/platform/log/(stream|decision)\\.ts$'],
      },
    },
    {
      name: 'views-never-write',
      comment:
        'A view follows the log and answers queries. It may import its own module\'s domain, and of the platform what ' +
        'reads: consumers/, database/, http/, log/stream-reader and the types of events. To make something happen, let ' +
        'a saga answer the event with a command, or let the controller send one.',
      severity: 'error',
      from: { path: '^src/modules/([^/]+)/views/', pathNot: '\\.spec\\.ts$' },
      to: {
        path: '^src/',
        pathNot: [
          '^src/modules/$1/(domain|views)/',
          '^src/shared/',
          '^src/platform/(consumers|database|http|audit)/',
          '^src/platform/log/(recorded-event|stream|stream-reader|decision)\\.ts$',
        ],
      },
    },
    {
      name: 'servers-migrate-apart',
      comment:
        'What a server imports stays in its memory: TypeORM is a tenth of what is there after a start. Let migrateApart() ' +
        'run migrate() in a process of its own; a type may be imported.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(cli/|platform/database/migrating\\.ts$)' },
      to: { path: '^src/platform/database/(migrate|migrating)\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'typeorm-migrates',
      comment:
        'Every server knows the migrations by name, and would load TypeORM with one that imports more of it than types. Say it ' +
        'in SQL: that is what a migration is read for.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/platform/database/migrate\\.ts$' },
      to: { path: '(^|/)node_modules/typeorm/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-cycles',
      comment:
        'Files that need each other at run time are one thought in two places, and which of them is whole first ' +
        'depends on who was asked first. Move what both need into a third file, or the one into the other. (A cycle ' +
        'closed by a type alone vanishes when compiled and is left to taste.)',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-orphans',
      comment: 'Nothing imports this file and it imports nothing: delete it, or use it.',
      severity: 'error',
      from: { orphan: true, path: '^src/', pathNot: '\\.spec\\.ts$' },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '\\.spec\\.ts$' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    // Sources say ./x.js, as ES modules do, and mean ./x.ts.
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'], conditionNames: ['import', 'require', 'node', 'default', 'types'] },
    builtInModules: { add: [] },
  },
};
