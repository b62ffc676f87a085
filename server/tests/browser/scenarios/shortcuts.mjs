// Single keys that lead somewhere, and the list of them.

import assert from 'node:assert/strict';
import { showsFocus } from '../lib/layout.mjs';
import { signedIn } from '../lib/person.mjs';
import { House } from '../seed/house.mjs';

export default async function ({ server, browser }) {
  const house = await House.of(server);
  await house.route('find_commit');
  await house.route('raw_blame');
  const page = await signedIn(browser, server, 'vera');
  const list = page.getByRole('dialog', { name: 'Shortcuts' });
  await page.keyboard.press('?');
  await list.waitFor();
  await page.keyboard.press('Escape');
  await list.waitFor({ state: 'hidden' });

  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.type), 'search');
  await page.keyboard.type('g a ?');
  assert.equal(new URL(page.url()).pathname, '/', 'what is typed in a field is text');
  await page.keyboard.press('Escape');

  await page.keyboard.press('j');
  assert.match(await page.evaluate(() => document.activeElement.textContent), /find_commit/);
  assert.ok(await showsFocus(page));
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/routes/raw_blame');

  for (const [keys, place] of [['ge', '/explain'], ['ga', '/audit'], ['gr', '/releases'], ['gb', '/']]) {
    for (const key of keys) {
      await page.keyboard.press(key);
    }
    await page.waitForURL((url) => url.pathname === place);
  }
}
