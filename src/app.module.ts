import { Module, type DynamicModule } from '@nestjs/common';
import type { Config } from './config.js';
import { catalogModule } from './modules/catalog/index.js';
import { inventoryModule } from './modules/inventory/index.js';
import { ledgerModule } from './modules/ledger/index.js';
import { orderingModule } from './modules/ordering/index.js';
import { nestModule, type DomainModule } from './platform/domain-module.js';
import type { Logger } from './platform/observability/logger.js';
import { PlatformModule } from './platform/platform.module.js';

export const productModules: readonly DomainModule[] = [ledgerModule, catalogModule, inventoryModule, orderingModule];

/** Puts the modules on the platform, as much of them as the role of the process takes. */
@Module({})
export class AppModule {
  static forRoot(config: Config, databaseUrl: string, logger: Logger, modules = productModules): DynamicModule {
    const platform = PlatformModule.forRoot(config, databaseUrl, logger, modules);
    return { module: AppModule, imports: [platform, ...modules.map((module) => nestModule(module, config))] };
  }
}
