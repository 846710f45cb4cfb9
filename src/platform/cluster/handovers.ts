import type { Worker } from 'node:cluster';

/** What Node's cluster module sends with a connection, and what the child answers when it has taken it. */
interface Handover {
  readonly act?: string;
  readonly seq?: number;
}
interface Taken {
  readonly ack?: number;
}

interface Connection {
  close(): void;
}

/**
 * Closes the connections that were on their way to a child when it ended.
 *
 * Node hands a connection over and forgets it when the child says that it took it. A child that is killed never says so,
 * and Node then keeps the connection for ever (seen with 20.20): the client's request is neither read nor refused. That is
 * no rare moment: the clients of a process that is killed come back at once, before its end is noticed. Closed, they hear
 * of it and come again. Node has no public hook for this, so its messages are looked at on their way.
 */
export function closeWhatIsNotTaken(child: Worker): void {
  const underWay = new Map<number, Connection>();
  const { process: channel } = child;
  const send = channel.send.bind(channel) as (...args: unknown[]) => boolean;
  const watched = (message: Handover, connection?: Connection, ...rest: unknown[]): boolean => {
    if (message.act === 'newconn' && connection) underWay.set(message.seq!, connection);
    return send(message, connection, ...rest);
  };
  channel.send = watched as typeof channel.send;
  channel.on('internalMessage', ({ ack }: Taken) => {
    if (ack !== undefined) underWay.delete(ack);
  });
  child.once('exit', () => {
    for (const connection of underWay.values()) connection.close();
  });
}
