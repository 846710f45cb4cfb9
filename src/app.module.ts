import { Module, type DynamicModule } from '@nestjs/common';
import type { Config } from './config.js';
import { CatalogModule } from './modules/catalog/index.js';
import { InventoryModule } from './modules/inventory/index.js';
import { LedgerModule } from './modules/ledger/index.js';
import { OrderingModule } from './modules/ordering/index.js';
import type { Logger } from './platform/observability/logger.js';
import { PlatformModule } from './platform/platform.module.js';

/** Puts the modules on the platform. */
@Module({})
export class AppModule {
  static forRoot(config: Config, databaseUrl: string, logger: Logger): DynamicModule {
    const modules = [LedgerModule, CatalogModule, InventoryModule, OrderingModule];
    return { module: AppModule, imports: [PlatformModule.forRoot(config, databaseUrl, logger), ...modules] };
  }
}
