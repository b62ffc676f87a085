// A page that is open shows what others do, by itself, without being loaded anew, and leaves alone what
// somebody is typing.

import assert from 'node:assert/strict';
import { at } from '../lib/api.mjs';
import { signedIn } from '../lib/person.mjs';
import { House } from '../seed/house.mjs';

/** How soon others see a change, in milliseconds. */
const SOON = 5_000;

export default async function ({ server, browser }) {
  const house = await House.of(server);
  await house.route('find_commit');
  const page = await signedIn(browser, server, 'vera');
  await page.evaluate(() => (window.isTheSamePage = true));
  const cell = page.getByRole('row', { name: /find_commit/ });
  await page.getByText('Live', { exact: true }).waitFor();
  await page.getByRole('searchbox').fill('find');

  await house.bring('find_commit', 'dev', 'opt_in');
  await cell.getByText('Opt-in').waitFor({ timeout: SOON });
  await house.halt('find_commit', 'dev', 'it misbehaves');
  await cell.getByText(/halted/i).first().waitFor({ timeout: SOON });
  await house.otto.post(at('find_commit', 'dev', 'resume'), { reason: 'it does not' });
  await cell.getByText(/halted/i).first().waitFor({ state: 'hidden', timeout: SOON });
  assert.ok(await page.evaluate(() => window.isTheSamePage), 'it was loaded anew');
  assert.equal(await page.getByRole('searchbox').inputValue(), 'find');

  await manyTabs(page, house);
  await calm(browser, server);
}

/** More pages at once than a browser opens connections to a server: all load, and all hear. */
async function manyTabs(page, house) {
  const tabs = [];
  for (let n = 0; n < 8; n += 1) {
    const tab = await page.context().newPage();
    await tab.goto(page.url(), { timeout: SOON });
    tabs.push(tab);
  }
  await house.halt('find_commit', 'dev', 'it misbehaves again');
  for (const tab of [page, ...tabs]) {
    const cell = tab.getByRole('row', { name: /find_commit/ });
    await cell.getByText(/halted/i).first().waitFor({ timeout: SOON });
  }
  await Promise.all(tabs.map((tab) => tab.close()));
}

/** Who has asked for less motion sees none. */
async function calm(browser, server) {
  const page = await signedIn(browser, server, 'vera', { reducedMotion: 'reduce' });
  const moving = await page.evaluate(() => {
    document.querySelectorAll('[data-live]').forEach((region) => region.classList.add('changed'));
    return document.getAnimations().length;
  });
  assert.equal(moving, 0);
}
