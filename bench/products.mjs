const consonants = [...'bdfghklmnprstvz'];
const vowels = [...'aeiou'];

/** The same word for the same number: three syllables, unlike any other's of the first 400,000. */
function word(number) {
  let text = '';
  for (let rest = number, syllable = 0; syllable < 3; syllable += 1) {
    text += consonants[rest % 15] + vowels[Math.floor(rest / 15) % 5];
    rest = Math.floor(rest / 75);
  }
  return text;
}

/**
 * Product n as its creation says it. Of 100,000, four have the same first two words, four hundred the same second
 * one, a thousand the same category, and two the same price; the descriptions are of two thousand further words.
 */
export function product(n) {
  const description = Array.from({ length: 12 }, (_, index) => word(1_000 + ((n * (7 + 2 * index) + 31 * index) % 2_000)));
  return {
    productId: `p${n}`,
    name: `${word(n % 97)} ${word(100 + (n % 251))} ${n}`,
    description: description.join(' '),
    categories: [`c${n % 100}`],
    attributes: { colour: word(500 + (n % 40)), weightGrams: 100 + (n % 5_000) },
    variants: [{ sku: `s${n}`, price: { amount: String(100 + ((n * 7_919) % 49_999)), currency: 'EUR' } }],
  };
}
