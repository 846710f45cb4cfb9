import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { z } from 'zod';
import { problemSchema, toolProblems } from './endpoint.js';
import { platformProblems } from './problem.js';

/** The OpenAPI 3.1 document of an application's routes, from the schemas they validate with. */
export function createOpenApi(app: NestFastifyApplication): OpenAPIObject {
  const info = new DocumentBuilder()
    .setTitle('Rialto')
    .setDescription(description)
    .setVersion('1')
    .setOpenAPIVersion('3.1.0')
    .build();
  const document = SwaggerModule.createDocument(app, info, {
    standardSchemaConverter: (schema, { schemaType }) => {
      if (!(schema instanceof z.ZodType)) return undefined;
      return { schema: jsonSchemaOf(schema, schemaType) as never };
    },
  });
  return { ...document, paths: { ...document.paths, ...ownPaths }, components: { ...document.components, ...ofEveryRoute } as never };
}

const description = `Catalogue, stock, orders and money that are never wrong.

Every answer names its request in \`Request-Id\`: the one that the client has sent, or a new one; and says with \`Cache-Control\`,
\`Content-Security-Policy\`, \`Referrer-Policy\`, \`X-Content-Type-Options\` and \`X-Frame-Options\` what a browser should make of
it. A method that a path does not take is answered with \`MethodNotAllowed\`, an address that is none with \`NotFound\`.

An \`Idempotency-Key\` is unique per method and path, whoever sends it. Unknown fields and unknown parameters are refused.`;

/** What no operation of the document answers with, and every server does. */
const ofEveryRoute = {
  headers: {
    'Request-Id': { description: 'The client\'s own, or a new one.', schema: { type: 'string' } },
  },
  responses: {
    MethodNotAllowed: {
      description: `\`method-not-allowed\`: ${platformProblems['method-not-allowed'].title}.`,
      headers: { Allow: { description: 'The methods that it takes.', schema: { type: 'string', example: 'GET, HEAD' } } },
      content: { 'application/problem+json': { schema: problemSchema(['method-not-allowed']) } },
    },
    NotFound: {
      description: `\`not-found\`: ${platformProblems['not-found'].title}.`,
      content: { 'application/problem+json': { schema: problemSchema(['not-found']) } },
    },
  },
};

const toolProblemResponses = Object.fromEntries(
  toolProblems.map((code) => {
    const { status, title } = platformProblems[code];
    return [status, { description: `\`${code}\`: ${title}.`, content: { 'application/problem+json': { schema: problemSchema([code]) } } }];
  }),
);

/** Of the document itself: @nestjs/swagger serves it, and says nothing of that. */
const ownPaths: OpenAPIObject['paths'] = {
  '/openapi.json': ownPath('getOpenApi', 'This document', 'application/json', { type: 'object' }),
  '/docs-yaml': ownPath('getOpenApiYaml', 'This document as YAML', 'text/yaml', { type: 'string' }),
  '/docs': ownPath('getDocs', 'This document, to be looked at with a browser', 'text/html', { type: 'string' }),
};

function ownPath(operationId: string, summary: string, type: string, schema: object): object {
  const content = { [type]: { schema } };
  return { get: { operationId, summary, tags: ['Operations'], parameters: [], responses: { 200: { description: 'As asked for.', content }, ...toolProblemResponses } } };
}

export function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => describeTransformed(zodSchema as unknown as z.ZodType, jsonSchema),
  });
  return json;
}

/** A schema that transforms says in its metadata what goes in; JSON Schema has no words for the transformation. */
function describeTransformed(schema: z.ZodType, json: Record<string, unknown>): void {
  const { type, oneOf, default: fallback } = (schema.meta() ?? {}) as Record<string, unknown>;
  if (fallback !== undefined) json.default = fallback;
  if (oneOf) for (const key of ['anyOf', 'type', 'pattern']) delete json[key];
  if (type === 'integer' || type === 'boolean') for (const key of ['pattern', 'enum']) delete json[key];
}

/** Serves the document of what `documented` has, made when it is first asked for. */
export function serveOpenApi(app: NestFastifyApplication, documented: NestFastifyApplication): void {
  SwaggerModule.setup('docs', app, () => createOpenApi(documented), { jsonDocumentUrl: 'openapi.json' });
}
