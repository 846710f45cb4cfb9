import type { OwnServer } from './own-server.js';

/** The server is killed when such a share of the answers is there. */
const killsAt = [0.1, 0.3, 0.5, 0.7];

/** Kills the server as often as it shall be killed, each time with many answers still to come. */
export class Killer {
  private killing: Promise<void> | undefined;
  private readonly pending: number[];

  constructor(
    private readonly server: OwnServer,
    requests: number,
  ) {
    this.pending = killsAt.map((share) => Math.ceil(share * requests));
  }

  answered(count: number): void {
    if (this.killing || this.pending.length === 0 || count < this.pending[0]!) return;
    this.pending.shift();
    this.killing = this.server.killAndRestart().finally(() => (this.killing = undefined));
  }

  /** When the server is back. */
  async rest(): Promise<void> {
    await this.killing;
  }
}
