import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { LogCommand } from '../../../platform/commands/log-command.js';
import { OverloadedError } from '../../../platform/errors.js';
import { LogWriter, type Outcome } from '../../../platform/log/writer.js';
import {
  postAll,
  postEach,
  streamsToPost,
  type BulkItemResult,
  type PostTransactionInput,
} from '../domain/transaction.js';

export interface PostTransactionsInput {
  readonly ledger: string;
  /** All or none. */
  readonly atomic: boolean;
  readonly items: readonly PostTransactionInput[];
}

/** Many transactions, up to 10,000. */
export class PostTransactions extends LogCommand<PostTransactionsInput> {
  static readonly type = 'ledger.post-transactions';
  static partitionKey = ({ ledger }: PostTransactionsInput): string => ledger;
}

/**
 * So many wait or are worked on at once in a process, over all lists; some 300 MB. Without a limit 256 clients with the
 * longest lists brought it down, out of memory.
 */
const maxPostingsAtOnce = 300_000;

const metadataBytesPerPosting = 64;

/** So much is decided and committed at once: other writers wait no longer than that takes (some 50 ms). */
const itemsPerStep = 1_000;

@CommandHandler(PostTransactions)
export class PostTransactionsHandler implements ICommandHandler<PostTransactions> {
  private postingsAtOnce = 0;

  constructor(private readonly writer: LogWriter) {}

  async execute(command: PostTransactions): Promise<Outcome> {
    const { atomic, items } = command.input;
    const postings = postingsOf(items);
    // A list of whatever size alone: as BULK_BODY_LIMIT allows, it would be turned away for ever.
    if (this.postingsAtOnce > 0 && this.postingsAtOnce + postings > maxPostingsAtOnce) throw new OverloadedError();
    this.postingsAtOnce += postings;
    try {
      return await (atomic || items.length <= itemsPerStep ? this.post(command) : this.postInSteps(command));
    } finally {
      this.postingsAtOnce -= postings;
    }
  }

  private post(command: PostTransactions, admitted = false): Promise<Outcome> {
    const { atomic, items } = command.input;
    return this.writer.execute({
      ...command.write({
        weight: items.length,
        streams: () => items.flatMap(streamsToPost),
        decide: (states, context) => (atomic ? postAll : postEach)(states, items, context),
      }),
      admitted,
    });
  }

  /**
   * Each step is a command of its own, kept under an id that follows from the whole's, so a retry after a crash in
   * the middle does the steps that were not done and gets the answers of those that were.
   */
  private async postInSteps(command: PostTransactions): Promise<Outcome> {
    const { input, envelope } = command;
    const results: BulkItemResult[] = [];
    for (let from = 0; from < input.items.length; from += itemsPerStep) {
      const items = input.items.slice(from, from + itemsPerStep);
      const metadata = { ...envelope.metadata, causationId: envelope.commandId };
      const step = { ...envelope, commandId: `${envelope.commandId}/${from}`, metadata };
      const outcome = await this.post(new PostTransactions({ ...input, items }, step), from > 0);
      if (outcome.status === 'refused') throw new Error(`a step was refused: ${outcome.rejection.code}`);
      results.push(...(JSON.parse(outcome.answer) as { results: BulkItemResult[] }).results);
    }
    return this.writer.execute({
      ...command.write({ streams: () => [], decide: () => ({ events: [], answer: { results } }) }),
      admitted: true,
    });
  }
}

/** How much memory a list asks for: so many postings, metadata counted as if it were some. */
function postingsOf(items: readonly PostTransactionInput[]): number {
  let count = 0;
  for (const { postings, metadata } of items) {
    count += postings.length + (metadata ? JSON.stringify(metadata).length / metadataBytesPerPosting : 0);
  }
  return count;
}
