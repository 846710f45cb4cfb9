/**
 * What an inventory is, said as simply as possible: every reservation is kept, and what is reserved is counted anew
 * each time it is asked for. It knows nothing of events, streams, sums or sweeps, nor of the code it is compared with.
 */
const largest = Number.MAX_SAFE_INTEGER;

interface ModelReservation {
  readonly taken: ReadonlyMap<string, number>;
  readonly quantity: number;
  readonly seconds: number | undefined;
  /** The first millisecond at which it does not count any more. */
  readonly endMs: number;
  status: 'reserved' | 'committed' | 'released' | 'expired';
}

/** `done` changed something, `same` was a repetition that changed nothing; anything else is a code. */
export type Result = string;

export class InventoryModel {
  /** In the order of first receipts. */
  readonly onHand = new Map<string, number>();
  readonly reservations = new Map<string, ModelReservation>();

  receive(location: string, quantity: number): Result {
    if (!this.onHand.has(location) && this.onHand.size === 100) return 'too-many-locations';
    if (this.total() + quantity > largest) return 'quantity-out-of-range';
    this.onHand.set(location, (this.onHand.get(location) ?? 0) + quantity);
    return 'done';
  }

  adjust(location: string, delta: number, nowMs: number): Result {
    const before = this.onHand.get(location);
    if (before === undefined) return 'stock-not-found';
    if (this.total() + delta > largest) return 'quantity-out-of-range';
    if (before + delta < this.reserved(location, nowMs)) return 'insufficient-stock';
    this.onHand.set(location, before + delta);
    return 'done';
  }

  reserve(id: string, quantity: number, seconds: number | undefined, nowMs: number): Result {
    const known = this.reservations.get(id);
    if (known?.quantity === 0) return 'reservation-released';
    if (known) return known.quantity === quantity && known.seconds === seconds ? 'same' : 'reservation-exists';
    const taken = new Map<string, number>();
    let missing = quantity;
    for (const [location, onHand] of this.onHand) {
      const some = Math.min(missing, onHand - this.reserved(location, nowMs));
      if (some > 0) taken.set(location, some);
      missing -= some;
    }
    if (missing > 0) return 'insufficient-stock';
    const stepMs = seconds !== undefined && seconds > 900 ? 60_000 : 1_000;
    const endMs = seconds === undefined ? Infinity : Math.ceil((nowMs + seconds * 1_000) / stepMs) * stepMs;
    this.reservations.set(id, { taken, quantity, seconds, endMs, status: 'reserved' });
    return 'done';
  }

  commit(id: string, nowMs: number): Result {
    const status = this.statusOf(id, nowMs);
    if (status === undefined) return 'reservation-not-found';
    if (status === 'committed') return 'same';
    if (status !== 'reserved') return `reservation-${status}`;
    const reservation = this.reservations.get(id)!;
    for (const [location, quantity] of reservation.taken) this.onHand.set(location, this.onHand.get(location)! - quantity);
    reservation.status = 'committed';
    return 'done';
  }

  release(id: string, evenIfAbsent: boolean, nowMs: number): Result {
    const status = this.statusOf(id, nowMs);
    if (status === undefined && !evenIfAbsent) return 'reservation-not-found';
    if (status === undefined) {
      this.reservations.set(id, { taken: new Map(), quantity: 0, seconds: undefined, endMs: Infinity, status: 'released' });
      return 'done';
    }
    if (status === 'committed') return 'reservation-committed';
    if (status !== 'reserved') return 'same';
    this.reservations.get(id)!.status = 'released';
    return 'done';
  }

  /** The sweep, which comes by when it comes by. */
  sweep(id: string): Result {
    const reservation = this.reservations.get(id);
    if (reservation?.status !== 'reserved') return 'same';
    reservation.status = 'expired';
    return 'done';
  }

  statusOf(id: string, nowMs: number): ModelReservation['status'] | undefined {
    const reservation = this.reservations.get(id);
    return reservation?.status === 'reserved' && reservation.endMs <= nowMs ? 'expired' : reservation?.status;
  }

  reserved(location: string, nowMs: number): number {
    let sum = 0;
    for (const [id, { taken }] of this.reservations) {
      if (this.statusOf(id, nowMs) === 'reserved') sum += taken.get(location) ?? 0;
    }
    return sum;
  }

  total(): number {
    return [...this.onHand.values()].reduce((sum, onHand) => sum + onHand, 0);
  }
}
