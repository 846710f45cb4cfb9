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
  #to;

  static async open(host, port) {
    const connection = new Connection();
    await connection.#connect({ host, port, noDelay: true });
    return connection;
  }

  async #connect(to) {
    const socket = net.connect(to);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    this.#to = to;
    this.#socket = socket;
    // What happens to a connection that another has replaced is nothing to us.
    const ofThis = (react) => (what) => socket === this.#socket && react(what);
    socket.on('data', ofThis((chunk) => this.#receive(chunk)));
    socket.on('error', ofThis((error) => this.#fail(error.message)));
    socket.on('close', ofThis(() => this.#fail('the server closed the connection')));
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
    const answer = () => onAnswer?.(Number(text.slice(9, 12)), text, this.#bodyStart);
    // nginx ends a connection after a thousand requests, and says so in the last answer.
    if (!/\r\nconnection: *close/i.test(text.slice(0, this.#bodyStart))) return answer();
    this.#socket.destroy();
    this.#connect(this.#to).then(answer, (error) => onAnswer?.(0, error.message, 0));
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
