/** Where this process is in its life. Writes and reads are served while it is `ready`. */
export class Lifecycle {
  phase: 'starting' | 'ready' | 'stopping' = 'starting';
}
