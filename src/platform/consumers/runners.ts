import { ConsumerRunner } from './consumer-runner.js';

/** The runners of a process: views and sagas do not wait for each other. As classes, for Nest to inject them. */

export class ProjectionRunner extends ConsumerRunner {}
export class SagaRunner extends ConsumerRunner {}
