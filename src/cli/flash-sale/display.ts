import { createLogUpdate } from 'log-update';
import { plot, type Point } from 'simple-ascii-chart';
import type { Told } from './verdict.js';

const refreshMs = 500;
const plainLineMs = 1_000;
const chartPointsMax = 60;

/** Counts what happens, and shows it: a chart that renews itself in a terminal, a line every second elsewhere. */
export class Display {
  /** Buyers, not answers: some ask twice. */
  private confirmed = 0;
  private rejected = 0;
  readonly waitedMs: number[] = [];
  private readonly startedMs = performance.now();
  private readonly rates: Point[] = [];
  private readonly redraw = process.stdout.isTTY ? createLogUpdate(process.stdout) : undefined;
  private readonly timer: NodeJS.Timeout;
  private answeredBefore = 0;
  private drawnMs = this.startedMs;

  constructor(
    private readonly requests: number,
    private readonly trouble: () => { readonly retries: number; readonly kills?: number },
  ) {
    this.timer = setInterval(() => this.draw(), this.redraw ? refreshMs : plainLineMs);
  }

  get answered(): number {
    return this.waitedMs.length;
  }

  get seconds(): number {
    return (performance.now() - this.startedMs) / 1_000;
  }

  count({ status }: Told, waitedMs: number, isFirst: boolean): void {
    if (isFirst) this[status]++;
    this.waitedMs.push(waitedMs);
  }

  /** Shows the last state, and no more. */
  stop(): void {
    clearInterval(this.timer);
    this.draw();
    this.redraw?.done();
  }

  private draw(): void {
    const nowMs = performance.now();
    const perSecond = (1_000 * (this.answered - this.answeredBefore)) / Math.max(1, nowMs - this.drawnMs);
    this.rates.push([Number(this.seconds.toFixed(1)), Math.round(perSecond)]);
    this.answeredBefore = this.answered;
    this.drawnMs = nowMs;
    const { retries, kills } = this.trouble();
    const line =
      `${this.seconds.toFixed(1).padStart(6)} s | ${this.answered} of ${this.requests} answered | ` +
      `${this.confirmed} confirmed | ${this.rejected} rejected | ${Math.round(perSecond)} answers/s | ` +
      `waited p50 ${percentile(this.waitedMs, 0.5)} ms, p99 ${percentile(this.waitedMs, 0.99)} ms` +
      (retries > 0 ? ` | sent again ${retries} times` : '') +
      (kills === undefined ? '' : ` | killed ${kills} times`);
    if (!this.redraw) process.stdout.write(`${line}\n`);
    else if (this.rates.length < 2) this.redraw(line);
    else this.redraw(`${this.chart()}\n${line}`);
  }

  private chart(): string {
    const points = this.rates.slice(-chartPointsMax);
    const width = Math.min(points.length + 10, (process.stdout.columns ?? 80) - 20);
    return plot(points, { width, height: 8, title: 'answers per second', xLabel: 'seconds', hideXAxisTicks: points.length > 15 });
  }
}

export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return 0;
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!);
}
