const { createTransformer } = require('@swc/jest');

const common = { module: { type: 'commonjs' }, sourceMaps: 'inline' };
const typescript = createTransformer({
  ...common,
  jsc: {
    target: 'es2022',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
    keepClassNames: true,
  },
});
const javascript = createTransformer({
  ...common,
  jsc: { target: 'es2022', parser: { syntax: 'ecmascript', dynamicImport: true } },
});

const isModule = (source) => /^\s*(import|export)\b/m.test(source) || source.includes('import.meta');

module.exports = {
  // Without this Jest would instrument what swc has already compiled, and coverage would read 0 %.
  canInstrument: false,
  getCacheKey(source, file, options) {
    return (file.endsWith('.ts') ? typescript : javascript).getCacheKey(source, file, options);
  },
  process(source, file, options) {
    if (file.endsWith('.ts')) return typescript.process(source, file, options);
    if (!file.includes('node_modules') || isModule(source)) return javascript.process(source, file, options);
    return { code: source };
  },
};
