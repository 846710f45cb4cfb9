import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { z } from 'zod';

/** The OpenAPI 3.1 document of an application's routes, from the schemas they validate with. */
export function createOpenApi(app: NestFastifyApplication): OpenAPIObject {
  const info = new DocumentBuilder()
    .setTitle('Rialto')
    .setDescription('Catalogue, stock, orders and money that are never wrong.')
    .setVersion('1')
    .setOpenAPIVersion('3.1.0')
    .build();
  return SwaggerModule.createDocument(app, info, {
    standardSchemaConverter: (schema, { schemaType }) => {
      if (!(schema instanceof z.ZodType)) return undefined;
      return { schema: jsonSchemaOf(schema, schemaType) as never };
    },
  });
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
