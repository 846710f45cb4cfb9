import { median } from './numbers.mjs';
import { runLoad } from './systems.mjs';

/** A result that says nothing about speed because the work was not done right. */
export class Broken extends Error {}

let runs = 0;
/** Runs a load against a subject; any answer that is not 2xx breaks the figure. */
export async function load(subject, job) {
  const result = await runLoad({
    host: subject.host,
    port: subject.port,
    readPort: subject.readPort,
    accounts: subject.accounts,
    products: subject.products,
    connections: 128,
    run: `${process.pid}-${(runs += 1)}`,
    ...job,
  });
  if (result.failures > 0) {
    throw new Broken(
      `${subject.name}, ${job.traffic}: ${result.failures} failed, first ${result.firstFailure}\n` +
        `The server's last words: ${subject.log().slice(-1_000)}`,
    );
  }
  return result;
}

/** A load of transfers, and the proof that what was acknowledged was done once, and no money came or went. */
export async function transferLoad(postgres, subject, job) {
  await postgres.checkpoint();
  const before = await subject.countTransfers();
  const result = await load(subject, job);
  result.catchUpMs = await subject.settle(result.token);
  const posted = (await subject.countTransfers()) - before;
  if (posted !== result.acknowledged) {
    throw new Broken(`${subject.name}: ${result.acknowledged} acknowledged, ${posted} posted`);
  }
  await subject.assertConserved();
  return result;
}

/** A load of orders, and the proof that each that was acknowledged was confirmed and holds its stock and its money. */
export async function orderLoad(postgres, subject, job) {
  await postgres.checkpoint();
  const before = await subject.countOrders();
  const result = await load(subject, job);
  result.settleMs = await subject.settleOrders();
  const confirmed = (await subject.countOrders()) - before;
  if (confirmed !== result.acknowledged) {
    throw new Broken(`${subject.name}: ${result.acknowledged} acknowledged, ${confirmed} confirmed`);
  }
  await subject.assertHeld();
  return result;
}

/**
 * Runs every contender once a round, each round beginning with the next one, and resolves with the results of
 * each in the order of the rounds. Whoever runs after a heavy neighbour does so in one round only.
 */
export async function inTurns(rounds, contenders) {
  const names = Object.keys(contenders);
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(round + turn) % names.length];
      results[name].push(await contenders[name]());
    }
  }
  return results;
}

/** The median over the rounds of one side divided by the other in the same round. */
export function medianRatio(ours, theirs) {
  return median(ours.map((value, round) => value / theirs[round]));
}
