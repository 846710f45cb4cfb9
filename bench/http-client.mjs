import net from 'node:net';

/**
 * One keep-alive HTTP/1.1 connection with one request under way at a time. It exists because the load shares
 * the machine with what it measures: bench/README.md has its cost per request beside autocannon's. It reads
 * only answers that carry a content-length, which is all that the servers measured here send.
 */
export class Connection {
  #socket;
  #text = '';
  #bodyStart = 0;
  #end = 0;
  #waiting = null;

  static async open(host, port) {
    const connection = new Connection();
    await new Promise((resolve, reject) => {
      connection.#socket = net.connect({ host, port, noDelay: true }, resolve);
      connection.#socket.once('error', reject);
    });
    connection.#socket.on('data', (chunk) => connection.#receive(chunk));
    connection.#socket.on('error', (error) => connection.#fail(error.message));
    connection.#socket.on('close', () => connection.#fail('the server closed the connection'));
    return connection;
  }

  /** `onAnswer(status, text, bodyStart)`: the whole answer as text. Status 0: none came, and why. */
  send(request, onAnswer) {
    this.#waiting = onAnswer;
    if (this.#socket.destroyed) this.#fail('the connection is closed');
    else this.#socket.write(request, 'latin1');
  }

  close() {
    this.#waiting = null;
    this.#socket.destroy();
  }

  #receive(chunk) {
    // Latin-1 keeps one character per byte, so lengths can be compared with content-length as they are.
    this.#text = this.#text === '' ? chunk.latin1Slice() : this.#text + chunk.latin1Slice();
    if (this.#end === 0) {
      const headEnd = this.#text.indexOf('\r\n\r\n');
      if (headEnd === -1) return;
      const length = /\r\ncontent-length: *(\d+)/i.exec(this.#text.slice(0, headEnd));
      if (length === null) return this.#fail(`no content-length in: ${this.#text.slice(0, headEnd)}`);
      this.#bodyStart = headEnd + 4;
      this.#end = this.#bodyStart + Number(length[1]);
    }
    if (this.#text.length < this.#end) return;
    const text = this.#text;
    const onAnswer = this.#waiting;
    this.#text = '';
    this.#end = 0;
    this.#waiting = null;
    onAnswer?.(Number(text.slice(9, 12)), text, this.#bodyStart);
  }

  #fail(reason) {
    const onAnswer = this.#waiting;
    this.#waiting = null;
    this.#socket.destroy();
    onAnswer?.(0, reason, 0);
  }
}

/** The bytes of a request as text. Bodies are ASCII here, so their length in characters is their length. */
export function request(method, path, host, headers = '', body = '') {
  return body === ''
    ? `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${headers}\r\n`
    : `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${headers}content-type: application/json\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`;
}
