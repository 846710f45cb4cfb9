import { join } from 'node:path';
import ts from 'typescript';
import { root } from './command.js';

export interface TypedValue {
  /** What to say of it when it is wrong. */
  readonly name: string;
  /** The module that exports the type, and the type. */
  readonly module: string;
  readonly type: string;
  readonly value: unknown;
}

/**
 * What the compiler has to say of values as literals of a type: missing fields, wrong values, and fields that the type
 * does not have, which is what a JSON schema of Kubernetes lets pass.
 */
export function typeErrors(values: readonly TypedValue[]): string[] {
  const file = join(root, 'test', 'typed-yaml-literals.ts'); // Only the compiler ever sees it.
  const lines = values.flatMap(({ module, type, value }, index) => [
    `import type { ${type} as Type${index} } from '${module}';`,
    `export const value${index}: Type${index} = ${JSON.stringify(value)};`,
  ]);
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const getSourceFile = host.getSourceFile.bind(host);
  host.getSourceFile = (name, version) => (name === file ? ts.createSourceFile(name, lines.join('\n'), version) : getSourceFile(name, version));
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ file: source, start, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, ' ');
    if (source?.fileName !== file || start === undefined) return text;
    return `${values[Math.floor(source.getLineAndCharacterOfPosition(start).line / 2)]!.name}: ${text}`;
  });
}
