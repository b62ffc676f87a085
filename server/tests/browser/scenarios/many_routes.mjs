// A thousand routes: the board is quick, searched and filtered by its address, and paged.

import assert from 'node:assert/strict';
import { findings } from '../lib/axe.mjs';
import { overflows } from '../lib/layout.mjs';
import { signedIn } from '../lib/person.mjs';
import { seedMany } from '../seed/many.mjs';

/** What the page of a thousand routes may weigh. */
const HEAVIEST = 300 * 1024;

export default async function ({ server, browser }) {
  await seedMany(server);
  const page = await signedIn(browser, server, 'vera');
  const reply = await page.goto('/');
  assert.ok((await reply.body()).length <= HEAVIEST, `${(await reply.body()).length} bytes`);
  assert.deepEqual(await overflows(page), []);
  await page.setViewportSize({ width: 1280, height: 900 });
  assert.deepEqual(await findings(page), []);

  const routes = page.getByRole('region', { name: 'Routes by environment' }).getByRole('rowheader');
  await page.getByRole('searchbox').fill('thing_0777');
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.search.includes('thing_0777'));
  assert.equal(await routes.count(), 1);
  await page.goBack();
  assert.ok((await routes.count()) > 1);

  await page.goto('/');
  const first = await routes.first().innerText();
  await page.getByRole('link', { name: 'Next page' }).click();
  await page.waitForURL((url) => url.search !== '');
  assert.notEqual(await routes.first().innerText(), first);
}
