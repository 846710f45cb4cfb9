import { hash } from 'node:crypto';
import { newId } from '../../shared/ids.js';

/**
 * A command id is `<partition>.<rest>`, so that whoever holds one knows where its row is.
 *
 * With an `Idempotency-Key` the rest is a hash of the key and its scope (method and path, the latter in one spelling; not
 * the query, and not who sends it), so a retry on any node meets its first try. Without one it is new.
 */
export function commandIdFor(partition: number, scope: string, idempotencyKey: string | undefined): string {
  const rest = idempotencyKey === undefined ? newId() : digest(`${scope}\n${idempotencyKey}`).slice(0, 22);
  return `${partition}.${rest}`;
}

export function digest(text: string): string {
  return hash('sha256', text, 'base64url');
}
