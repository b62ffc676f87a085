// Accessibility, as axe sees it.

import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';

const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What of its findings fails a test. */
const SERIOUS = ['serious', 'critical'];
export const SCHEMES = ['light', 'dark'];
/** What of its rules the colours decide; the others answer alike in both schemes. */
const OF_COLOURS = ['color-contrast', 'link-in-text-block'];

/** What axe finds serious on the page as it is, in both colour schemes: one line for each node. */
export async function findings(page) {
  const found = [];
  for (const colorScheme of SCHEMES) {
    await page.emulateMedia({ colorScheme });
    const rules = colorScheme === 'light' ? null : OF_COLOURS;
    found.push(...(await look(page, rules)).map((line) => `${colorScheme}: ${line}`));
  }
  await page.emulateMedia({ colorScheme: null });
  return found;
}

async function look(page, rules) {
  // Evaluated by the driver, which the page's content policy does not bind.
  if (!(await page.evaluate('typeof axe === "object"'))) {
    await page.evaluate(source);
  }
  const options = { resultTypes: ['violations'], ...(rules ? { runOnly: { type: 'rule', values: rules } } : {}) };
  const { violations } = await page.evaluate((how) => axe.run(document, how), options);
  return violations
    .filter(({ impact }) => SERIOUS.includes(impact))
    .flatMap(({ id, help, nodes }) => nodes.map((node) => `${id} (${help}): ${node.target.join(' ')} ${reason(node)}`));
}

function reason(node) {
  const checks = [...node.any, ...node.all, ...node.none];
  return checks.map(({ message }) => message).join('; ');
}
