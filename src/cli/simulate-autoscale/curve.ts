import { parse } from 'csv-parse/sync';
import { z } from 'zod';

/** What clients ask for in a second. */
export interface Load {
  readonly readsPerSecond: number;
  /** Writes that are answered when they are done: transfers, receipts, … */
  readonly commandsPerSecond: number;
  /** Orders: one command that is answered, and a checkout that the inbox buffers. */
  readonly ordersPerSecond: number;
}

export const daySeconds = 86_400;

export interface DayShape {
  /** The day's average, without the sale. */
  readonly mean: Load;
  /** By how much the sale multiplies what the hour would have had. 1: no sale. */
  readonly salePeak: number;
  readonly saleStartSeconds: number;
  readonly saleRampSeconds: number;
  readonly saleDecaySeconds: number;
}

/**
 * A shop's day and a flash sale in it: quiet from two to six, a first summit at noon, the second and higher one at
 * eight in the evening; the sale rises within a minute and halves every few minutes.
 */
export function dayCurve({ mean, salePeak, saleStartSeconds, saleRampSeconds, saleDecaySeconds }: DayShape): (second: number) => Load {
  const hours = (second: number) => second / 3_600;
  const bump = (hour: number, at: number, width: number) => Math.exp(-(((hour - at) / width) ** 2));
  const shape = (second: number) => 0.25 + 0.9 * bump(hours(second), 12, 4) + 1.3 * bump(hours(second), 20, 3);
  let sum = 0;
  for (let second = 0; second < daySeconds; second += 60) sum += shape(second);
  const average = sum / (daySeconds / 60);
  const sale = (second: number) => {
    const since = second - saleStartSeconds;
    if (since < 0) return 0;
    return since < saleRampSeconds ? since / saleRampSeconds : 0.5 ** ((since - saleRampSeconds) / saleDecaySeconds);
  };
  return (second) => {
    const factor = (shape(second) / average) * (1 + (salePeak - 1) * sale(second));
    return {
      readsPerSecond: mean.readsPerSecond * factor,
      commandsPerSecond: mean.commandsPerSecond * factor,
      ordersPerSecond: mean.ordersPerSecond * factor,
    };
  };
}

const notNegative = z.coerce.number().nonnegative();
const row = z.object({
  second: z.coerce.number().int().min(0).max(daySeconds - 1),
  reads: notNegative,
  commands: notNegative,
  orders: notNegative,
});

/**
 * A curve from CSV with the columns second, reads, commands, orders (a second), in the order of time. Between two rows
 * it goes in a straight line; before the first and after the last it is flat.
 */
export function readCurve(csv: string): (second: number) => Load {
  const records = parse(csv, { columns: true, skip_empty_lines: true, trim: true });
  const rows = z.array(row).min(1).parse(records);
  for (let index = 1; index < rows.length; index++) {
    if (rows[index]!.second <= rows[index - 1]!.second) throw new Error(`row ${index + 1}: its second is not after the one before`);
  }
  let from = 0;
  return (second) => {
    if (second < rows[from]!.second) from = 0;
    while (from + 1 < rows.length && rows[from + 1]!.second <= second) from++;
    const [before, after] = [rows[from]!, rows[from + 1]];
    const share = !after || second <= before.second ? 0 : (second - before.second) / (after.second - before.second);
    const between = (name: 'reads' | 'commands' | 'orders') => before[name] + share * ((after?.[name] ?? 0) - before[name]);
    return { readsPerSecond: between('reads'), commandsPerSecond: between('commands'), ordersPerSecond: between('orders') };
  };
}
