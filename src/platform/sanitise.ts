/** Error texts quote input. Postgres takes no NUL and no lone surrogate, and nobody wants a megabyte of it. */
export function withoutNul(text: string, maxLength = 2_000): string {
  return text.slice(0, maxLength).replaceAll('\u0000', '\uFFFD').toWellFormed();
}
