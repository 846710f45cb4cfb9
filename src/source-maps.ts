import module from 'node:module';

/**
 * Loaded before everything else (`--import`): stack traces name the lines of our sources. Those of packages stay as they
 * are: `--enable-source-maps` reads their maps too, sources and all, and keeps them: 11 MB of heap, 25 MB resident under
 * load. Node 20 knows only all or none.
 */
const { setSourceMapsSupport } = module as { setSourceMapsSupport?: (enabled: boolean, options: { nodeModules: boolean }) => void };
if (setSourceMapsSupport) setSourceMapsSupport(true, { nodeModules: false });
else process.setSourceMapsEnabled(true);
