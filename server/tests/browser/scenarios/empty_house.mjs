// A server on which nobody has done anything yet: every page says what to do first.

import assert from 'node:assert/strict';
import { findings } from '../lib/axe.mjs';
import { overflows } from '../lib/layout.mjs';
import { EVERYWHERE } from '../lib/pages.mjs';
import { signedIn } from '../lib/person.mjs';

export default async function ({ server, browser }) {
  const page = await signedIn(browser, server, 'ada');
  const wrong = [];
  for (const address of Object.values(EVERYWHERE)) {
    const reply = await page.goto(address);
    wrong.push(...(reply.status() === 200 ? [] : [`${address}: ${reply.status()}`]));
    wrong.push(...(await findings(page)).map((line) => `${address}: ${line}`));
    wrong.push(...(await overflows(page)));
  }
  for (const address of ['/', '/releases', '/cohorts', '/keys']) {
    await page.goto(address);
    const says = page.locator('main .empty').first();
    wrong.push(...((await says.count()) > 0 ? [] : [`${address}: says nothing of being empty`]));
  }
  assert.deepEqual(wrong, []);
}
