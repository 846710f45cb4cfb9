import { added, archived, archiving, changed, changing, created, creating, euros, given, putting, restored, restoring, variant, variantChanged } from '../../../../test/support/catalog-words.js';
import { nothing, refused, StreamsInMemory } from '../../../../test/support/given.js';
import { catalogEvents } from './events.js';
import { maxVariants, productType } from './product.js';
import { skuStream, skuType } from './sku.js';

const full = {
  name: 'Shirt',
  description: 'Linen.',
  categories: ['Clothes', 'Summer'],
  attributes: { care: { wash: 40 } },
  variants: [variant('shirt-m', '4900', 'M'), variant('shirt-l', { amount: '0', currency: 'USD' })],
};

describe('creating a product', () => {
  it('makes it, active, with its variants', () => {
    given()
      .at('2026-01-31T12:00:00.000Z')
      .when(creating('shirt', full))
      .then(created('shirt', full))
      .creating(true)
      .answering({
        productId: 'shirt',
        status: 'active',
        name: 'Shirt',
        description: 'Linen.',
        categories: ['Clothes', 'Summer'],
        attributes: { care: { wash: 40 } },
        variants: [
          { sku: 'shirt-m', name: 'M', price: { amount: '4900', currency: 'EUR' } },
          { sku: 'shirt-l', name: null, price: { amount: '0', currency: 'USD' } },
        ],
        version: 1,
        createdAt: '2026-01-31T12:00:00.000Z',
      });
  });

  it('changes nothing when it is there with the same content, and answers with what it has become', () => {
    const attributes = { b: 1, a: [1, 2] };
    given(created('shirt', { attributes }), changed('shirt', { name: 'New' }), added('shirt', variant('shirt-l')), archived('shirt', 'shirt', 'shirt-l'))
      .when(creating('shirt', { attributes: { a: [1, 2], b: 1 } }))
      .then(nothing)
      .creating(false)
      .answering(expect.objectContaining({ name: 'New', status: 'archived', version: 4, createdAt: '2026-01-01T00:00:00.000Z' }));
  });

  it.each([
    ['name', { name: 'Other' }],
    ['description', { description: 'x' }],
    ['categories', { categories: ['Summer', 'Clothes'] }],
    ['attributes', { attributes: { care: { wash: 60 } } }],
    ['variant', { variants: [full.variants[0]!] }],
    ['price', { variants: [variant('shirt-m', '4901', 'M'), full.variants[1]!] }],
  ])('is refused when it was created with another %s', (_what, other) => {
    given(created('shirt', full))
      .when(creating('shirt', { ...full, ...other }))
      .then(refused('product-exists', 'product shirt exists with other content'));
  });

  it('is refused with what it has become since: that is not what it was created with', () => {
    given(created('shirt'), changed('shirt', { name: 'New' })).when(creating('shirt', { name: 'New' })).then(refused('product-exists'));
  });

  it('claims its SKUs, all or none', () => {
    const variants = [variant('free'), variant('shirt'), variant('hat')];
    given(created('shirt'), created('hat'))
      .when(creating('coat', { variants }))
      .then(refused('sku-exists', 'SKU shirt belongs to product shirt'));
  });

  it('does not get the SKU of an archived product', () => {
    given(created('shirt'), archived('shirt', 'shirt')).when(creating('coat', { variants: [variant('shirt')] })).then(refused('sku-exists'));
  });
});

describe('changing a product', () => {
  it('says what is different, and nothing else', () => {
    given(created('shirt', full))
      .when(changing('shirt', { name: 'Shirt', description: '', categories: ['Clothes'] }))
      .then(changed('shirt', { description: '', categories: ['Clothes'] }))
      .creating(false)
      .answering(expect.objectContaining({ name: 'Shirt', description: '', categories: ['Clothes'], attributes: full.attributes, version: 2 }));
  });

  it('replaces attributes as a whole', () => {
    given(created('shirt', full)).when(changing('shirt', { attributes: { a: 1 } })).then(changed('shirt', { attributes: { a: 1 } }));
  });

  it('changes nothing when all is so already', () => {
    given(created('shirt', full)).when(changing('shirt', full)).then(nothing);
    given(created('shirt', full)).when(changing('shirt', {})).then(nothing).answering(expect.objectContaining({ version: 1 }));
  });

  it('is possible while it is archived', () => {
    given(created('shirt'), archived('shirt', 'shirt'))
      .when(changing('shirt', { name: 'New' }))
      .then(changed('shirt', { name: 'New' }))
      .answering(expect.objectContaining({ status: 'archived' }));
  });
});

describe('putting a variant', () => {
  it('adds it as the last one', () => {
    given(created('shirt', full))
      .when(putting('shirt', variant('shirt-a', '1', 'A')))
      .then(added('shirt', variant('shirt-a', '1', 'A')))
      .creating(true)
      .answering(expect.objectContaining({ version: 2, variants: expect.arrayContaining([{ sku: 'shirt-a', name: 'A', price: euros('1') }]) }));
  });

  it('puts it in the place of the one with its SKU, and says what that cost', () => {
    given(created('shirt', full))
      .when(putting('shirt', variant('shirt-m', '4500', 'M')))
      .then(variantChanged('shirt', variant('shirt-m', '4500', 'M'), euros('4900')))
      .creating(false)
      .answering(expect.objectContaining({
        variants: [
          { sku: 'shirt-m', name: 'M', price: euros('4500') },
          { sku: 'shirt-l', name: null, price: { amount: '0', currency: 'USD' } },
        ],
      }));
  });

  it('says no former price when only the name changes, and takes the name away when there is none', () => {
    given(created('shirt', full))
      .when(putting('shirt', variant('shirt-m', '4900')))
      .then(variantChanged('shirt', variant('shirt-m', '4900')))
      .answering(expect.objectContaining({ variants: expect.arrayContaining([{ sku: 'shirt-m', name: null, price: euros('4900') }]) }));
  });

  it('tells a price in another currency from the same amount', () => {
    given(created('shirt', full))
      .when(putting('shirt', variant('shirt-m', { amount: '4900', currency: 'USD' }, 'M')))
      .then(variantChanged('shirt', variant('shirt-m', { amount: '4900', currency: 'USD' }, 'M'), euros('4900')));
  });

  it('changes nothing when it is so already', () => {
    given(created('shirt', full)).when(putting('shirt', full.variants[0]!)).then(nothing).creating(false);
  });

  it('is possible while the product is archived, and then can not be ordered', () => {
    given(created('shirt'), archived('shirt', 'shirt'))
      .when(putting('shirt', variant('shirt-l')))
      .then(added('shirt', variant('shirt-l'), false));
  });

  it('is refused for the first reason in the order of the contract', () => {
    const many = Array.from({ length: maxVariants }, (_, index) => variant(`shirt-${index}`));
    const past = [created('hat'), created('shirt', { variants: many })];
    given(created('hat')).when(putting('shirt', variant('hat'))).then(refused('product-not-found', 'there is no product shirt'));
    given(...past).when(putting('shirt', variant('hat'))).then(refused('sku-exists', 'SKU hat belongs to product hat'));
    given(...past).when(putting('shirt', variant('free'))).then(refused('too-many-variants', 'product shirt has 100 variants'));
    given(...past).when(putting('shirt', variant('shirt-99', '1'))).then(variantChanged('shirt', variant('shirt-99', '1'), euros('1000')));
  });
});

describe('archiving and restoring a product', () => {
  it('names its SKUs, those that came later too', () => {
    const past = [created('shirt', full), added('shirt', variant('shirt-xl'))];
    given(...past)
      .when(archiving('shirt'))
      .then(archived('shirt', 'shirt-m', 'shirt-l', 'shirt-xl'))
      .creating(false)
      .answering(expect.objectContaining({ status: 'archived', version: 3 }));
    given(...past, archived('shirt', 'shirt-m', 'shirt-l', 'shirt-xl'))
      .when(restoring('shirt'))
      .then(restored('shirt', 'shirt-m', 'shirt-l', 'shirt-xl'))
      .answering(expect.objectContaining({ status: 'active', version: 4 }));
  });

  it('changes nothing when it is so already', () => {
    given(created('shirt'), archived('shirt', 'shirt')).when(archiving('shirt')).then(nothing).answering(expect.objectContaining({ version: 2 }));
    given(created('shirt')).when(restoring('shirt')).then(nothing);
  });
});

it.each([
  ['changed', changing('shirt', { name: 'x' })],
  ['archived', archiving('shirt')],
  ['restored', restoring('shirt')],
])('a product that is not there is not %s', (_what, wish) => {
  given(created('hat')).when(wish).then(refused('product-not-found', 'there is no product shirt'));
});

it('a SKU knows its product, its price, and whether it can be ordered', () => {
  const streams = new StreamsInMemory(catalogEvents, [productType, skuType]);
  const after = (...events: Parameters<typeof given>) => {
    for (const event of events) streams.record(event, '2026-01-01T00:00:00.000Z');
    return streams.of(skuStream('shirt-m'));
  };
  expect(after()).toEqual({ sku: 'shirt-m', orderable: false });
  const price = euros('4900');
  expect(after(created('shirt', full))).toEqual({ sku: 'shirt-m', productId: 'shirt', price, orderable: true });
  expect(after(archived('shirt', 'shirt-m', 'shirt-l'))).toMatchObject({ price, orderable: false });
  expect(after(variantChanged('shirt', variant('shirt-m', '1'), price))).toMatchObject({ price: euros('1'), orderable: false });
  expect(after(restored('shirt', 'shirt-m', 'shirt-l'))).toMatchObject({ orderable: true });
});
