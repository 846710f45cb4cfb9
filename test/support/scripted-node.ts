import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: number;
}

type Behaviour = (response: ServerResponse) => void;

/** Something that listens where a node would, and does as it is told. */
export class ScriptedNode {
  readonly seen: Seen[] = [];
  behaviour: Behaviour = answers(200);

  private constructor(private readonly server: Server) {}

  /** All of 127.0.0.0/8 is this machine: nodes at different addresses can have the same port. */
  static async start(host = '127.0.0.1', port = 0): Promise<ScriptedNode> {
    const server = createServer();
    const node = new ScriptedNode(server);
    server.on('request', (request, response) => {
      let bytes = 0;
      request.on('data', (chunk: Buffer) => (bytes += chunk.length));
      request.on('end', () => {
        node.seen.push({ method: request.method!, url: request.url!, headers: request.headers, bytes });
        node.behaviour(response);
      });
    });
    server.listen(port, host);
    await once(server, 'listening');
    return node;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

export function answers(status: number, code = 'fine', headers: Readonly<Record<string, string>> = {}): Behaviour {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify({ code }));
  };
}

/** The process is gone with the request. */
export const hangsUp: Behaviour = (response) => void response.socket!.destroy();

/** As a frozen process does, or one whose disk has stopped. */
export const staysSilent: Behaviour = () => undefined;

export function answersAfter(ms: number): Behaviour {
  return (response) => void setTimeout(() => answers(200)(response), ms);
}

/** As a node that is starting does (src/platform/http/problem.filter.ts). */
export const declines = answers(503, 'starting', { 'x-accel-redirect': '@elsewhere' });
