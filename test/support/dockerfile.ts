import { spawn } from 'node:child_process';
import { chmod, cp, mkdir, readFile, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Dockerfile, DockerfileParser, type Instruction, type JSONInstruction } from 'dockerfile-ast';
import { root } from './command.js';

/** What a stage leaves behind: the directories that it made, under one that stands for `/`, and how it is to be run. */
export interface Stage {
  readonly directory: string;
  readonly env: Record<string, string>;
  readonly workdir: string;
  readonly user: string | undefined;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
  readonly stopSignal: string | undefined;
}

/**
 * Does what `docker build` would do with a Dockerfile's stages, without containers: each gets an empty directory, COPY
 * takes from the repository what .dockerignore lets through, RUN is run by the shell. Of the base images there is the
 * Node of their series; other programs come from this machine. Instructions and forms that it does not know are refused.
 */
export class DockerBuild {
  private readonly stages = new Map<string, Stage>();

  private constructor(
    private readonly directory: string,
    private readonly dockerfile: Dockerfile,
    private readonly ignore: readonly string[],
    /** The image's Node. */
    readonly node: string,
  ) {}

  static async of(file: string, directory: string): Promise<DockerBuild> {
    const dockerfile = DockerfileParser.parse(await readFile(join(root, file), 'utf8'));
    const ignore = (await readFile(join(root, '.dockerignore'), 'utf8')).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    const nodeImage = dockerfile.getInitialARGs().find((arg) => arg.getProperty()?.getName() === 'NODE_IMAGE');
    const series = /^node:(\d+)-/.exec(nodeImage?.getProperty()?.getValue() ?? '')?.[1];
    if (!series) throw new Error('NODE_IMAGE names no series of Node');
    return new DockerBuild(directory, dockerfile, ignore, await installNode(series, directory));
  }

  async run(name: string): Promise<Stage> {
    const from = this.dockerfile.getFROMs().findIndex((one) => one.getBuildStage() === name);
    if (from === -1) throw new Error(`there is no stage ${name}`);
    const start = this.dockerfile.getFROMs()[from]!.getRange().start.line;
    const end = this.dockerfile.getFROMs()[from + 1]?.getRange().start.line ?? Infinity;
    const stage: { -readonly [Key in keyof Stage]: Stage[Key] } = {
      directory: join(this.directory, name),
      env: {},
      workdir: '/',
      user: undefined,
      entrypoint: [],
      command: [],
      healthcheck: [],
      stopSignal: undefined,
    };
    await mkdir(stage.directory, { recursive: true });
    await chmod(stage.directory, 0o755);
    for (const instruction of this.dockerfile.getInstructions()) {
      const { line } = instruction.getRange()!.start;
      if (line <= start || line >= end) continue;
      const words = instruction.getArguments().map((argument) => argument.getValue());
      const text = instruction.getArgumentsContent() ?? '';
      switch (instruction.getKeyword()) {
        case 'WORKDIR':
          stage.workdir = words[0]!;
          await mkdir(join(stage.directory, stage.workdir), { recursive: true });
          break;
        case 'ENV':
          for (const word of words) stage.env[word.split('=', 1)[0]!] = word.slice(word.indexOf('=') + 1);
          break;
        case 'COPY':
          await this.copy(instruction, words, stage);
          break;
        case 'RUN':
          await runInShell(text, join(stage.directory, stage.workdir), { ...this.env(), ...stage.env });
          break;
        case 'USER':
          stage.user = words[0]!;
          break;
        case 'ENTRYPOINT':
          stage.entrypoint = wordsOf(instruction);
          break;
        case 'CMD':
          stage.command = wordsOf(instruction);
          break;
        case 'HEALTHCHECK':
          stage.healthcheck = JSON.parse(text.slice(text.indexOf('[')));
          break;
        case 'STOPSIGNAL':
          stage.stopSignal = words[0]!;
          break;
        case 'EXPOSE':
          break;
        default:
          throw new Error(`line ${line + 1}: ${instruction.getKeyword()} is not known here`);
      }
    }
    this.stages.set(name, stage);
    return stage;
  }

  /** With what npm's steps are run: the image's Node, and from whoever runs the test where npm's registry and its cache are. */
  private env(): NodeJS.ProcessEnv {
    const npm = Object.entries(process.env).filter(([name]) => /^(npm_config_(registry|cache|userconfig)|NODE_EXTRA_CA_CERTS)$/i.test(name));
    return { PATH: `${dirname(this.node)}:${process.env.PATH}`, HOME: process.env.HOME, ...Object.fromEntries(npm) };
  }

  private async copy(instruction: Instruction, words: string[], stage: Stage): Promise<void> {
    const flags = (instruction as JSONInstruction).getFlags().map((flag) => [flag.getName(), flag.getValue()] as const);
    const from = flags.find(([name]) => name === 'from')?.[1];
    if (flags.length > (from ? 1 : 0)) throw new Error(`COPY with ${flags.join(' ')} is not known here`);
    const source = from ? this.stages.get(from)?.directory : root;
    if (source === undefined) throw new Error(`there is no stage ${from} yet`);
    const target = words.pop()!;
    for (const word of words) {
      // As Docker does: into a directory that is named with a slash, else as the target itself.
      const name = target.endsWith('/') ? join(target, word.split('/').at(-1)!) : target;
      const to = name.startsWith('/') ? join(stage.directory, name) : join(stage.directory, stage.workdir, name);
      const filter = (path: string) => from !== undefined || this.isInContext(path.slice(root.length));
      if (!filter(join(source, word))) throw new Error(`.dockerignore leaves ${word} out`);
      await cp(join(source, word), to, { recursive: true, filter, verbatimSymlinks: true });
    }
  }

  /** The last pattern that matches decides, as in Docker. A pattern is `*`, a path and what is under it, or an ending. */
  private isInContext(path: string): boolean {
    let isIn = true;
    for (const line of this.ignore) {
      const isException = line.startsWith('!');
      const pattern = isException ? line.slice(1) : line;
      const ending = pattern.startsWith('**/*') ? pattern.slice('**/*'.length) : undefined;
      const matches = ending ? path.endsWith(ending) : pattern === '*' || path === pattern || path.startsWith(`${pattern}/`);
      if (matches) isIn = isException;
    }
    return isIn;
  }
}

function wordsOf(instruction: Instruction): string[] {
  return (instruction as JSONInstruction).getJSONStrings().map((word) => word.getJSONValue());
}

/** The newest Node of a series. npm has the binaries that are in the images as packages, one for each kind of machine. */
async function installNode(series: string, directory: string): Promise<string> {
  const name = `node-${process.platform}-${process.arch}`;
  await runInShell(`npm install --prefix . --no-save --no-audit --no-fund ${name}@${series}`, directory, process.env);
  return join(directory, 'node_modules', name, 'bin', 'node');
}

async function runInShell(text: string, cwd: string, env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn('/bin/sh', ['-c', text], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise((resolve) => child.on('close', resolve));
  if (code !== 0) throw new Error(`RUN ${text} ended with ${code}:\n${output}`);
}

/** The bytes of everything in a directory. */
export async function bytesIn(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
