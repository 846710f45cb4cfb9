import fastify from 'fastify';

/**
 * Baseline (c): what the same Fastify does when it has nothing to do but find something in memory and send it.
 * RESOURCE is the JSON of one as Rialto answers it, so both send the same fields.
 */
const { ROUTE, ID_FIELD, PREFIX } = process.env;
const template = JSON.parse(process.env.RESOURCE);
const resources = new Map();
for (let index = 0; index < Number(process.env.COUNT); index += 1) {
  const id = PREFIX + index;
  resources.set(id, { ...template, [ID_FIELD]: id });
}

const server = fastify();
server.get(ROUTE, (request, reply) => {
  reply.send(resources.get(request.params.id));
});
const address = await server.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
console.log(`bare Fastify ready on ${address}`);
