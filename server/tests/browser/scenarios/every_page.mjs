// Every page of a house that is at work: nothing that axe calls serious, in either scheme, nothing that the
// console complains of, and controls that a finger hits.

import assert from 'node:assert/strict';
import { findings } from '../lib/axe.mjs';
import { overflows, smallTargets } from '../lib/layout.mjs';
import { forms, pages } from '../lib/pages.mjs';
import { signedIn } from '../lib/person.mjs';
import { seedExample } from '../seed/example.mjs';

export default async function ({ server, browser }) {
  await seedExample(server);
  const wrong = [];
  const look = async (page, address) => {
    const reply = await page.goto(address);
    wrong.push(...(reply.status() === 200 ? [] : [`${address}: ${reply.status()}`]));
    wrong.push(...(await findings(page)).map((line) => `${address}: ${line}`));
    wrong.push(...(await smallTargets(page)).map((line) => `${address}: ${line}`));
    wrong.push(...(await overflows(page)));
  };
  const stranger = await browser.person();
  await look(await stranger.newPage(), '/sign-in');
  const page = await signedIn(browser, server, 'ada');
  for (const address of Object.values({ ...pages(), ...forms() })) {
    await look(page, address);
  }
  assert.deepEqual(wrong, []);
}
