import { Controller, Get, Header } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { ProblemCatalogue } from './problem.js';

/** Where the `type` of a problem leads: what its code means. */
@ApiExcludeController()
@Controller('docs/errors')
export class ProblemsController {
  constructor(private readonly problems: ProblemCatalogue) {}

  @Get()
  @Header('content-type', 'text/plain; charset=utf-8')
  list(): string {
    const lines = this.problems.codes.sort().map((code) => {
      const { status, title } = this.problems.describe(code, '');
      return `${code} (${status}): ${title}.`;
    });
    return `${lines.join('\n')}\n`;
  }
}
