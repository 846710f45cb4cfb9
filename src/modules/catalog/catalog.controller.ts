import { Body, Controller, Param, Patch, Post, Put } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { CommandGateway } from '../../platform/commands/command-gateway.js';
import { endpoints } from '../../platform/http/endpoint.js';
import { Writing, type WriteRequest } from '../../platform/http/write-request.js';
import { newId } from '../../shared/ids.js';
import * as schemas from './catalog.schemas.js';
import { ArchiveProduct } from './commands/archive-product.js';
import { ChangeProduct } from './commands/change-product.js';
import { CreateProduct } from './commands/create-product.js';
import { PutVariant } from './commands/put-variant.js';
import { RestoreProduct } from './commands/restore-product.js';
import { catalogProblems } from './domain/problems.js';

const { WriteEndpoint } = endpoints(catalogProblems);

@ApiTags('Catalog')
@Controller('v1/products')
export class CatalogController {
  constructor(private readonly commands: CommandGateway) {}

  @Post()
  @WriteEndpoint({
    summary: 'Create a product, and claim the SKUs of its variants; all of them or none',
    answers: { 201: schemas.productAnswer, 200: schemas.productAnswer },
    problems: ['product-exists', 'sku-exists'],
  })
  createProduct(
    @Body({ schema: schemas.createProductBody }) body: z.output<typeof schemas.createProductBody>,
    @Writing() request: WriteRequest,
  ) {
    const { productId, ...content } = body;
    const id = productId === undefined ? { productId: newId(), isNew: true } : { productId };
    return this.commands.run(CreateProduct, { ...id, ...content }, request);
  }

  @Patch(':productId')
  @WriteEndpoint({
    summary: 'Change a product: each field that is there takes the place of what was, as a whole',
    answers: { 200: schemas.productAnswer },
    problems: ['product-not-found'],
  })
  changeProduct(
    @Param({ schema: schemas.productParams }) params: z.output<typeof schemas.productParams>,
    @Body({ schema: schemas.changeProductBody }) body: z.output<typeof schemas.changeProductBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(ChangeProduct, { ...params, ...body }, request);
  }

  @Put(':productId/variants/:sku')
  @WriteEndpoint({
    summary: 'Add a variant, or put this one in the place of the one with its SKU; left out, it has no name',
    answers: { 201: schemas.productAnswer, 200: schemas.productAnswer },
    problems: ['product-not-found', 'sku-exists', 'too-many-variants'],
  })
  putVariant(
    @Param({ schema: schemas.variantParams }) params: z.output<typeof schemas.variantParams>,
    @Body({ schema: schemas.putVariantBody }) body: z.output<typeof schemas.putVariantBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(PutVariant, { ...params, ...body }, request);
  }

  @Post(':productId/archive')
  @WriteEndpoint({
    summary: 'Archive a product: it can not be ordered any more',
    answers: { 200: schemas.productAnswer },
    problems: ['product-not-found'],
  })
  archiveProduct(
    @Param({ schema: schemas.productParams }) params: z.output<typeof schemas.productParams>,
    @Body({ schema: schemas.emptyBody }) _body: z.output<typeof schemas.emptyBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(ArchiveProduct, params, request);
  }

  @Post(':productId/restore')
  @WriteEndpoint({
    summary: 'Take an archived product back into the shop',
    answers: { 200: schemas.productAnswer },
    problems: ['product-not-found'],
  })
  restoreProduct(
    @Param({ schema: schemas.productParams }) params: z.output<typeof schemas.productParams>,
    @Body({ schema: schemas.emptyBody }) _body: z.output<typeof schemas.emptyBody>,
    @Writing() request: WriteRequest,
  ) {
    return this.commands.run(RestoreProduct, params, request);
  }
}
