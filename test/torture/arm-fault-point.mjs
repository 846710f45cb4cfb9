import { readFileSync } from 'node:fs';
import { onFaultPoint } from '../../dist/platform/fault-points.js';

// Loaded into a process of Rialto before its own code: on SIGUSR2 it reads which point is to be its last one.
const file = process.env.RIALTO_FAULT_POINT_FILE;

process.on('SIGUSR2', () => {
  let { point, passes } = JSON.parse(readFileSync(file, 'utf8'));
  onFaultPoint((passed) => {
    if (passed === point && --passes <= 0) process.kill(process.pid, 'SIGKILL');
  });
});
