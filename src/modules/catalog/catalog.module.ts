import { Module } from '@nestjs/common';
import { Audit } from '../../platform/audit/audit.js';
import { ProjectionCatalogue } from '../../platform/consumers/projection-catalogue.js';
import { ProblemCatalogue } from '../../platform/http/problem.js';
import { EventCatalogue } from '../../platform/log/catalogue.js';
import { catalogInvariants } from './catalog.audit.js';
import { CatalogController } from './catalog.controller.js';
import { CatalogQueriesController } from './catalog.queries.controller.js';
import { ArchiveProductHandler } from './commands/archive-product.js';
import { ChangeProductHandler } from './commands/change-product.js';
import { CreateProductHandler } from './commands/create-product.js';
import { LookUpPricesHandler } from './commands/look-up-prices.js';
import { PutVariantHandler } from './commands/put-variant.js';
import { RestoreProductHandler } from './commands/restore-product.js';
import { catalogEvents } from './domain/events.js';
import { catalogProblems } from './domain/problems.js';
import { catalogProducts, GetProductHandler, ListProductsHandler } from './views/products.js';
import { catalogSkus, GetSkuHandler } from './views/skus.js';

const commands = [
  CreateProductHandler,
  ChangeProductHandler,
  PutVariantHandler,
  ArchiveProductHandler,
  RestoreProductHandler,
  LookUpPricesHandler,
];

const queries = [GetProductHandler, ListProductsHandler, GetSkuHandler];

/** What is for sale: products and their variants. Partition key: one for the whole catalogue. */
@Module({
  controllers: [CatalogController, CatalogQueriesController],
  providers: [...commands, ...queries],
})
export class CatalogModule {
  constructor(events: EventCatalogue, problems: ProblemCatalogue, projections: ProjectionCatalogue, audit: Audit) {
    events.add(catalogEvents);
    problems.add(catalogProblems);
    projections.add(catalogProducts, catalogSkus);
    audit.add(...catalogInvariants);
  }
}
