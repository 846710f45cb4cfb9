import assert from 'node:assert/strict';

/** A handful of requests, as README.md shows them, against a product that has just started. */
const address = process.argv[2];

async function send(method, path, body, headers = {}) {
  const answer = await fetch(new URL(path, address), {
    method,
    headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  const isJson = /json/.test(answer.headers.get('content-type') ?? '');
  console.log(`${method} ${path} → ${answer.status}`);
  return { status: answer.status, headers: answer.headers, body: isJson ? JSON.parse(text) : text };
}

const ledger = '/v1/ledgers/demo';
assert.equal((await send('GET', '/health/ready')).status, 200);
const world = { accountId: 'world', currency: 'EUR', overdraft: 'unlimited' };
assert.equal((await send('POST', `${ledger}/accounts`, world)).status, 201);
assert.equal((await send('POST', `${ledger}/accounts`, { accountId: 'alice', currency: 'EUR' })).status, 201);

const key = { 'idempotency-key': 'order-17' };
const transfer = { postings: [{ source: 'world', destination: 'alice', amount: '1050' }], reference: 'order 17' };
const first = await send('POST', `${ledger}/transactions`, transfer, key);
assert.equal(first.status, 201);
const again = await send('POST', `${ledger}/transactions`, transfer, key);
assert.equal(again.status, 201);
assert.equal(again.headers.get('idempotency-replayed'), 'true');
assert.deepEqual(again.body, first.body);

const token = { 'consistency-token': first.headers.get('consistency-token') };
const alice = await send('GET', `${ledger}/accounts/alice`, undefined, token);
assert.equal(alice.body.balance, '1050');

const tooMuch = { postings: [{ source: 'alice', destination: 'world', amount: '1051' }] };
const refused = await send('POST', `${ledger}/transactions`, tooMuch);
assert.equal(refused.status, 409);
assert.equal(refused.body.code, 'insufficient-funds');

const mug = '/v1/stock/mug-blue';
assert.equal((await send('POST', `${mug}/receipts`, { quantity: 40 })).status, 201);
assert.equal((await send('POST', `${mug}/reservations`, { reservationId: 'cart-9', quantity: 3 })).status, 201);
const shipped = await send('POST', `${mug}/reservations/cart-9/commit`);
assert.equal(shipped.body.status, 'committed');
const stock = await send('GET', mug, undefined, { 'consistency-token': shipped.headers.get('consistency-token') });
assert.deepEqual([stock.body.onHand, stock.body.available, stock.body.version], [37, 37, 3]);

const variants = [{ sku: 'shirt-m', price: { amount: '300', currency: 'EUR' } }];
assert.equal((await send('POST', '/v1/products', { productId: 'shirt', name: 'Linen shirt', variants })).status, 201);
assert.equal((await send('POST', '/v1/stock/shirt-m/receipts', { quantity: 3 })).status, 201);
assert.equal((await send('POST', `${ledger}/accounts`, { accountId: 'merchant', currency: 'EUR' })).status, 201);
const order = {
  orderId: 'order-17',
  customerId: 'alice',
  lines: [{ sku: 'shirt-m', quantity: 2 }],
  payment: { ledger: 'demo', account: 'alice' },
};
const bought = await send('POST', '/v1/orders', order, { prefer: 'wait=10' });
assert.deepEqual([bought.status, bought.body.status, bought.body.total], [201, 'confirmed', '600']);
assert.equal((await send('POST', '/v1/orders/order-17/fulfil')).body.status, 'fulfilled');
const refund = await send('POST', '/v1/orders/order-17/refunds', { lines: [{ sku: 'shirt-m', quantity: 1, restock: true }] });
assert.deepEqual([refund.status, refund.body.amount], [201, '300']);
const tooMany = await send('POST', '/v1/orders', { ...order, orderId: 'order-18', lines: [{ sku: 'shirt-m', quantity: 3 }] }, { prefer: 'wait=10' });
assert.deepEqual([tooMany.status, tooMany.body.code], [409, 'insufficient-stock']);

const balance = await send('GET', `${ledger}/trial-balance`, undefined, token);
assert.equal(balance.body.currencies.EUR.net, '0');
assert.equal((await send('GET', '/v1/nowhere')).body.code, 'not-found');
assert.equal((await send('GET', '/openapi.json')).body.openapi.slice(0, 3), '3.1');
assert.match((await send('GET', '/metrics')).body, /^# HELP /m);
