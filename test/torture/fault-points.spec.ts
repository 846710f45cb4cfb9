import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { faultPoints } from '../../src/platform/fault-points.js';
import { allIsDone, readFinalState } from './final-state.js';
import { check } from './check.js';
import { Dice } from './dice.js';
import { Recorder } from './history.js';
import { System } from './system.js';
import { Workload } from './workload.js';

jest.setTimeout(300_000);

describe('The fault points', () => {
  test('are each passed in one place of the product, and there are no others', () => {
    const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    const passed = sources.flatMap((file) => [...readFileSync(join('src', file), 'utf8').matchAll(/\bfaultPoint\('([^']+)'\)/g)].map(([, point]) => point));
    expect(passed.sort()).toEqual([...faultPoints].sort());
  });

  describe('of a process under load', () => {
    let system: System;
    let recorder: Recorder;
    let workload: Workload;

    beforeAll(async () => {
      system = await System.start('all-in-one');
      recorder = new Recorder({ seed: 'fault points', command: 'npm test' });
      const [node] = system.nodes;
      const doors = [{ name: node!.name, url: node!.url, serves: 'all' as const }];
      workload = new Workload(recorder, doors, { clients: 6, hotPercent: 40 }, (name) => new Dice(`fault points ${name}`));
      await workload.open();
      workload.begin();
    });

    afterAll(async () => {
      await workload?.end();
      workload?.close();
      await system?.stop();
    });

    test.each(faultPoints)('%s is reached, and it dies there', async (point) => {
      const [node] = system.nodes;
      await sleep(300);
      await node!.dieAt(point, 2);
      while (node!.process.isRunning) await sleep(20);
      await node!.process.start();
    });

    test('leave nothing half done', async () => {
      await workload.end();
      await workload.resolve(recorder.nowMs() + 60_000);
      const doneAfterMs = await allIsDone(system.pool, 60_000);
      expect(check(recorder.history(), await readFinalState(system.pool), doneAfterMs).violations).toEqual([]);
    });
  });
});
