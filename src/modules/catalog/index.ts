/** The catalogue's face: what other modules may use. */
export { catalogModule } from './catalog.module.js';
export { CreateProduct } from './commands/create-product.js';
export { ChangeProduct } from './commands/change-product.js';
export { PutVariant } from './commands/put-variant.js';
export { ArchiveProduct } from './commands/archive-product.js';
export { RestoreProduct } from './commands/restore-product.js';
export { LookUpPrices } from './commands/look-up-prices.js';
export { GetProduct } from './views/products.js';
export { GetSku } from './views/skus.js';
export type { SkuPrice } from './domain/sku.js';
export type { CatalogEvent } from './domain/events.js';
