import { Controller, Get, Header } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { endpoints } from './endpoint.js';
import { ProblemCatalogue } from './problem.js';

const { ToolEndpoint } = endpoints({});

/** Where the `type` of a problem leads: what its code means. */
@ApiTags('Operations')
@Controller('docs/errors')
export class ProblemsController {
  constructor(private readonly problems: ProblemCatalogue) {}

  @Get()
  @ToolEndpoint({ summary: 'What the codes of problems mean', content: { 'text/plain': { schema: { type: 'string' } } } })
  @Header('content-type', 'text/plain; charset=utf-8')
  list(): string {
    const lines = this.problems.codes.sort().map((code) => {
      const { status, title } = this.problems.describe(code, '');
      return `${code} (${status}): ${title}.`;
    });
    return `${lines.join('\n')}\n`;
  }
}
