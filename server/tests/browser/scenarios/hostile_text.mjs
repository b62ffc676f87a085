// Whatever people type is shown as text, in whichever direction it is read, and no page is wider than its window.

import assert from 'node:assert/strict';
import { overflows } from '../lib/layout.mjs';
import { forms, pages } from '../lib/pages.mjs';
import { signedIn } from '../lib/person.mjs';
import { LONG, seedHostile } from '../seed/hostile.mjs';

export default async function ({ server, browser }) {
  await seedHostile(server);
  const page = await signedIn(browser, server, 'ada');
  const wrong = [];
  const look = async (address) => {
    const reply = await page.goto(address);
    wrong.push(...(reply.status() === 200 ? [] : [`${address}: ${reply.status()}`]));
    wrong.push(...(await overflows(page)));
    wrong.push(...((await page.title()) === 'broken in' ? [`${address}: a script of somebody's text ran`] : []));
    wrong.push(...((await page.locator('main script, main img[src=x]').count()) > 0 ? [`${address}: text became markup`] : []));
  };
  for (const route of ['scripted', 'emoji']) {
    for (const address of [`/routes/${route}`, `/routes/${route}/environments/staging`, `/routes/${route}/plan`]) {
      await look(address);
    }
  }
  const about = { route: LONG, environment: 'staging', waiting: LONG, data: LONG };
  for (const address of Object.values({ ...pages(about), ...forms(about) })) {
    await look(address);
  }
  assert.deepEqual(wrong, []);
}
