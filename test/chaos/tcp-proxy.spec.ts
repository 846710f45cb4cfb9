import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { TcpProxy } from '../support/tcp-proxy.js';

describe('The proxy', () => {
  it('breaks a connection also in the moment in which it is ended anyway', async () => {
    // Says something for as long as anybody is there, whether or not they have said their last word.
    const server = createServer({ allowHalfOpen: true }, (client) => {
      const talking = setInterval(() => client.write('.'), 5);
      client.on('error', () => undefined).on('close', () => clearInterval(talking));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = await TcpProxy.to(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const connected = once(server, 'connection') as Promise<[Socket]>;
    const cut = proxy.cutOnce({ connection: '', sent: 'what?', lost: 'message' });
    connect(proxy.port, '127.0.0.1').on('error', () => undefined).write('what?');
    const [atServer] = await connected;
    const closed = new Promise((resolve) => atServer.on('close', resolve));
    await cut;
    proxy.cutAll();
    await closed;
    await proxy.close();
    server.close();
  });
});
