import { Controller, Get, Param, Query } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { endpoints } from '../../platform/http/endpoint.js';
import { QueryGateway, Reading, type ReadRequest } from '../../platform/http/query-gateway.js';
import { GetAvailable, inventoryStock } from '../inventory/index.js';
import * as schemas from './catalog.schemas.js';
import { catalogProblems } from './domain/problems.js';
import { catalogPrices } from './views/prices.js';
import { catalogProducts, GetProduct, ListProducts } from './views/products.js';
import { catalogSkus, GetSku } from './views/skus.js';

const { ListEndpoint, ReadEndpoint } = endpoints(catalogProblems);

@ApiTags('Catalog')
@Controller('v1')
export class CatalogQueriesController {
  constructor(
    private readonly queries: QueryGateway,
    private readonly bus: QueryBus,
  ) {}

  @Get('products/:productId')
  @ReadEndpoint({
    summary: 'A product with its variants',
    answers: { 200: schemas.productAnswer },
    problems: ['product-not-found'],
  })
  getProduct(
    @Param({ schema: schemas.productParams }) { productId }: z.output<typeof schemas.productParams>,
    @Reading() request: ReadRequest,
  ) {
    return this.queries.resource([catalogProducts], new GetProduct(productId), request);
  }

  @Get('products')
  @ListEndpoint({
    summary:
      'Products by words, category, price (of any of their variants) and status; sorted by name, lowest price, or newest first',
    answers: { 200: schemas.productsPage },
  })
  listProducts(
    @Query({ schema: schemas.productsQuery }) query: z.output<typeof schemas.productsQuery>,
    @Reading() request: ReadRequest,
  ) {
    return this.queries.page([catalogProducts, catalogPrices], new ListProducts(query), request);
  }

  @Get('skus/:sku')
  @ReadEndpoint({
    summary: 'A variant by its SKU, with its product and what is available of it',
    answers: { 200: schemas.skuAnswer },
    problems: ['sku-not-found'],
  })
  getSku(
    @Param({ schema: schemas.skuParams }) { sku }: z.output<typeof schemas.skuParams>,
    @Reading() request: ReadRequest,
  ) {
    const read = async () => {
      const [known, stock] = await Promise.all([this.bus.execute(new GetSku(sku)), this.bus.execute(new GetAvailable(sku))]);
      const { available, source, validForMs } = stock;
      return { body: { ...known.body, available }, sources: [...known.sources!, source], validForMs };
    };
    return this.queries.resource([catalogSkus, catalogProducts, inventoryStock], read, request);
  }
}
