import type { DomainModule } from '../../platform/domain-module.js';
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
import { catalogPrices } from './views/prices.js';
import { catalogProducts, GetProductHandler, ListProductsHandler } from './views/products.js';
import { catalogSkus, GetSkuHandler } from './views/skus.js';

/** What is for sale: products and their variants. Partition key: one for the whole catalogue. */
export const catalogModule: DomainModule = {
  name: 'catalog',
  events: catalogEvents,
  problems: catalogProblems,
  projections: [catalogProducts, catalogPrices, catalogSkus],
  invariants: catalogInvariants,
  commands: {
    controllers: [CatalogController],
    providers: [
      CreateProductHandler,
      ChangeProductHandler,
      PutVariantHandler,
      ArchiveProductHandler,
      RestoreProductHandler,
      LookUpPricesHandler,
    ],
  },
  queries: {
    controllers: [CatalogQueriesController],
    providers: [GetProductHandler, ListProductsHandler, GetSkuHandler],
  },
};
