import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { ProblemCatalogue, type platformProblems } from './problem.js';

type Refusal = readonly [code: keyof typeof platformProblems, detail: string];

const refusals: Readonly<Record<string, Refusal>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout', 'the request took too long to arrive'],
  HPE_HEADER_OVERFLOW: ['headers-too-large', 'the address and the headers are more than 16 KiB'],
};
const notHttp: Refusal = ['bad-request', 'this is not HTTP/1.1, or of a method that nobody knows'];

/**
 * Answers what Node's parser refuses, and what never becomes a request for that. The client is told that the connection
 * ends with it; one that does not know sends its next request into it, and gets no answer.
 */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const [code, detail] = refusals[error.code ?? ''] ?? notHttp;
  const problem = new ProblemCatalogue().describe(code, detail);
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'content-type: application/problem+json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.destroy(error);
}
