import fastify from 'fastify';

/**
 * Baseline (c): what the same Fastify does when it has nothing to do but find an account in memory and send
 * it. ACCOUNT is the JSON of one account as Rialto answers it, so both send the same fields.
 */
const template = JSON.parse(process.env.ACCOUNT);
const accounts = new Map();
for (let index = 0; index < Number(process.env.ACCOUNTS); index += 1) {
  accounts.set(`a${index}`, { ...template, accountId: `a${index}` });
}

const server = fastify();
server.get('/v1/ledgers/:ledger/accounts/:accountId', (request, reply) => {
  reply.send(accounts.get(request.params.accountId));
});
const address = await server.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
console.log(`bare Fastify ready on ${address}`);
