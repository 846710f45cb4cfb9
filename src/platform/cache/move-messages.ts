import type { Move } from '../consumers/consumer.js';

/** Views that made the same step: partition, from, to, and of each view the hashes that changed, as base64. */
type Step = [partition: number, from: number, to: number, changed: Record<string, string>];

const hashesAtOnce = 1_000;

/**
 * Moves as messages of at most `maxLength` ASCII characters each, to be heard in this order. Views mostly move in
 * step, and are told of together. A move that changed too much for one message is told in parts, and only the last of
 * them says where it started: whoever has heard that one has heard them all.
 */
export function encodeMoves(sender: string, moves: readonly Move[], maxLength: number): string[] {
  const parts: string[] = [];
  const steps = new Map<string, { step: Step; length: number }[]>();
  for (const { consumer, partition, from, to, changed } of moves) {
    let rest = changed;
    for (; rest.length > hashesAtOnce; rest = rest.slice(hashesAtOnce)) {
      parts.push(JSON.stringify([partition, to, to, { [consumer]: encodeHashes(rest.slice(0, hashesAtOnce)) }]));
    }
    const hashes = encodeHashes(rest);
    const length = consumer.length + hashes.length + 6;
    const key = `${partition} ${from} ${to}`;
    const same = steps.get(key) ?? [];
    steps.set(key, same);
    const last = same.at(-1);
    if (last && last.length + length < maxLength - 200) {
      last.step[3][consumer] = hashes;
      last.length += length;
    } else {
      same.push({ step: [partition, from, to, { [consumer]: hashes }], length });
    }
  }
  for (const same of steps.values()) for (const { step } of same) parts.push(JSON.stringify(step));

  const head = `{"sender":"${sender}","steps":[`;
  const messages: string[] = [];
  let message = '';
  for (const part of parts) {
    if (message !== '' && head.length + message.length + part.length + 3 > maxLength) {
      messages.push(`${head}${message}]}`);
      message = '';
    }
    message += message === '' ? part : `,${part}`;
  }
  if (message !== '') messages.push(`${head}${message}]}`);
  return messages;
}

/** The moves that a message tells of; none when this process has sent it itself. */
export function decodeMoves(message: string, self: string): Move[] {
  if (message.startsWith(`{"sender":"${self}"`)) return [];
  const { steps } = JSON.parse(message) as { steps: Step[] };
  return steps.flatMap(([partition, from, to, changed]) =>
    Object.entries(changed).map(([consumer, hashes]) => ({ consumer, partition, from, to, changed: decodeHashes(hashes) })),
  );
}

function encodeHashes(hashes: readonly number[]): string {
  return hashes.length === 0 ? '' : Buffer.from(Uint32Array.from(hashes).buffer).toString('base64');
}

function decodeHashes(text: string): number[] {
  if (text === '') return [];
  const bytes = Buffer.from(text, 'base64');
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(i * 4));
}
