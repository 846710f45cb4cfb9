import type { OwnServer } from './own-server.js';

/** The server is killed when such a share of the answers is there. */
const killsAt = [0.1, 0.3, 0.5, 0.7];

/** Kills the server as often as it shall be killed, each time with many answers still to come. */
export class Killer {
  /** Rejects when the server does not come back. */
  readonly failure: Promise<never>;
  private fail!: (error: unknown) => void;
  private killing: Promise<unknown> | undefined;
  private readonly pending: number[];

  constructor(
    private readonly server: OwnServer,
    requests: number,
  ) {
    this.pending = killsAt.map((share) => Math.ceil(share * requests));
    this.failure = new Promise((_resolve, reject) => (this.fail = reject));
  }

  answered(count: number): void {
    if (this.killing || this.pending.length === 0 || count < this.pending[0]!) return;
    this.pending.shift();
    this.killing = this.server.killAndRestart().then(() => (this.killing = undefined), this.fail);
  }

  /** When the server is back. */
  async rest(): Promise<void> {
    await this.killing;
  }
}
