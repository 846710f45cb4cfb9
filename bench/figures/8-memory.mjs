import { hasProc, residentMb } from '../machine.mjs';
import { transferLoad } from '../measure.mjs';
import { seedRialto, startRialto } from '../subjects.mjs';

/** Resident memory of the server after many transfers over many accounts, half way and at the end. */
export async function memory(bench) {
  const { postgres, sizes } = bench;
  if (!hasProc) throw new Error('needs /proc');
  await postgres.createDatabase('memory');
  const rialto = await startRialto(postgres, 'memory', sizes.memoryAccounts);
  await seedRialto(rialto);
  let highest = 0;
  const watch = setInterval(() => (highest = Math.max(highest, residentMb(rialto.pid))), 100);
  const job = { traffic: 'bulk', items: 1_000, connections: 4, count: sizes.memoryTransfers / 2_000 };
  const resident = [];
  try {
    for (let half = 0; half < 2; half += 1) {
      await transferLoad(postgres, rialto, job);
      resident.push(residentMb(rialto.pid));
    }
  } finally {
    clearInterval(watch);
  }
  await rialto.stop();
  const [halfWay, end] = resident;
  const growth = end / halfWay;
  const count = (n) => n.toLocaleString('en');
  bench.note(`Memory: at most ${Math.round(highest)} MB at any time during the transfers.`);
  return [
    {
      figure: `8 memory, ${count(sizes.memoryTransfers)} transfers, ${count(sizes.memoryAccounts)} accounts`,
      rialto: `${Math.round(end)} MB`,
      baseline: `half way ${Math.round(halfWay)} MB`,
      ratio: growth,
      asked: '≤ 400 MB, flat (≤ 1.1)',
      met: end <= 400 && growth <= 1.1,
    },
  ];
}
