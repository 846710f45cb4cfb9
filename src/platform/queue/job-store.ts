import type { Queue as BullQueue, Worker as BullWorker } from 'bullmq';
import type { Queue } from './wake-ups.js';

/** All that a job says: who added it, and when, by that process's monotonic clock. The work is in log and inbox. */
export interface JobData {
  readonly from: string;
  readonly sentAtMs: number;
}

export type JobQueue = BullQueue<JobData, void, string, JobData, void, string>;

/** Where jobs are kept. Made once; connected to as often as needed. */
export interface JobStore {
  /**
   * Whether a job's lock is written with the clock of the worker that holds it, so that a worker whose clock is wrong
   * takes jobs away from others, or keeps them for ever.
   */
  readonly trustsWorkersClocks: boolean;
  /** The most connections to the database that one process holds for it. */
  readonly databaseConnectionsMax: number;
  /**
   * Connects. Rejects when the store can not be reached, or is not as it has to be (`UnsuitableStoreError`). `onLost`
   * is called when the connection is broken; it is not repaired.
   */
  connect(timings: Timings, onLost: (error: Error) => void): Promise<JobConnection>;
}

export interface JobConnection {
  queue(name: Queue): JobQueue;
  /** `onAlive` is called whenever the worker has had an answer from the store. */
  worker(name: Queue, work: (job: { name: string; data: JobData }) => Promise<void>, onAlive: () => void): BullWorker;
  /** The store's clock, in milliseconds since 1970. */
  time(): Promise<number>;
  /** Ends all its connections: politely where the other side answers, else by force. */
  end(): Promise<void>;
}

/** It would lose jobs, and this process must not use it. */
export class UnsuitableStoreError extends Error {}

/**
 * Jobs carry nothing, so they are removed when they are done. Failing is a matter of the store, never of the work:
 * PostgreSQL crashing at the completion of jobs marked 16 of 2,518 as failed that had been done, at one attempt.
 */
export const jobOptions = {
  attempts: 8,
  backoff: { type: 'exponential', delay: 500, jitter: 0.5 },
  removeOnComplete: true,
  removeOnFail: { count: 100 },
};

/** Every change of a job is an event too, which nobody reads; they are kept by the thousand unless told otherwise. */
export const queueOptions = { streams: { events: { maxLen: 10 } } };

/** When what is done. Tests are in more of a hurry. */
export interface Timings {
  /** Longer than a busy machine takes to answer. Nobody waits for it but the next wake-up. */
  readonly answerMs: number;
  /** How long an idle worker that hears nothing waits before it asks the store again. Also a sign of life. */
  readonly idleSeconds: number;
  /** A worker that is well asks for a job every `idleSeconds` at the least. */
  readonly silentMs: number;
  /** Of the queues, one after the other. */
  readonly canaryEveryMs: number;
  readonly canaryLateMs: number;
  readonly clockEveryMs: number;
}

export const usualTimings: Timings = {
  answerMs: 5_000,
  idleSeconds: 30,
  silentMs: 45_000,
  canaryEveryMs: 20_000,
  canaryLateMs: 5_000,
  clockEveryMs: 60_000,
};

/**
 * A worker that died holds a job for this long. Nobody waits for that: the work is found by the next wake-up or sweep.
 * So the check for such jobs need not come often, and costs an idle process a statement every half minute.
 */
export const workerOptions = {
  concurrency: 1,
  lockDuration: 10_000,
  stalledInterval: 30_000,
  maxStalledCount: 5,
};

/** Rejects after a time; what was asked goes on, and its late answer is nobody's. */
export async function within<T>(limitMs: number, what: string, asked: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimeoutError(`${what}: no answer in ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([asked, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

export class TimeoutError extends Error {}

/** The same backend, which tells of every answer to a worker's request for a job. */
export function noting<Backend extends { moveToActive(...args: never[]): Promise<unknown> }>(
  backend: Backend,
  onAlive: () => void,
): Backend {
  const take = backend.moveToActive.bind(backend) as (...args: never[]) => Promise<unknown>;
  backend.moveToActive = async (...args: never[]) => {
    const answer = await take(...args);
    onAlive();
    return answer;
  };
  return backend;
}
