import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

/**
 * Every SQL statement that stands in a source file, as JSON: { file, line, text, dynamic }. What a template takes from a
 * constant text of the same file is put in; of anything else `text` has a gap (U+0000) and `dynamic` its expression.
 * A program of its own, because Jest would have to transform the compiler first.
 */
const root = process.argv[2];
const isSql = /^\s*(WITH|SELECT|INSERT INTO|UPDATE|DELETE FROM|LOCK|LISTEN|UNLISTEN|NOTIFY|CREATE|ALTER|DROP)\s[^]*\s/i;

const found = [];
for (const name of readdirSync(root, { recursive: true })) {
  if (!name.endsWith('.ts') || name.endsWith('.spec.ts') || name.startsWith('migrations')) continue;
  const source = ts.createSourceFile(name, readFileSync(path.join(root, name), 'utf8'), ts.ScriptTarget.Latest, true);
  const constants = new Map();
  for (const statement of source.statements) {
    if (!ts.isVariableStatement(statement)) continue;
    for (const { name: id, initializer } of statement.declarationList.declarations) {
      if (initializer && ts.isIdentifier(id)) constants.set(id.text, initializer);
    }
  }
  const resolve = (node) => {
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return { text: node.text, dynamic: [] };
    if (ts.isIdentifier(node) && constants.has(node.text)) return resolve(constants.get(node.text));
    if (!ts.isTemplateExpression(node)) return { text: '\0', dynamic: [node.getText(source)] };
    const parts = node.templateSpans.map(({ expression, literal }) => ({ ...resolve(expression), after: literal.text }));
    return {
      text: node.head.text + parts.map(({ text, after }) => text + after).join(''),
      dynamic: parts.flatMap(({ dynamic }) => dynamic),
    };
  };
  const look = (node) => {
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateExpression(node)) {
      const { text, dynamic } = resolve(node);
      // Plain words may begin like a statement: it must also name a thing of the database.
      const isStatement = isSql.test(text) && (/\b(FROM|INTO|SET|VALUES|TABLE|INDEX|AS)\b/.test(text) || /^\s*(select|SELECT) (pg_|to_|current_|1)/.test(text));
      if (isStatement) {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
        found.push({ file: name, line: line + 1, text, dynamic });
      }
    }
    ts.forEachChild(node, look);
  };
  look(source);
}
process.stdout.write(JSON.stringify(found));
