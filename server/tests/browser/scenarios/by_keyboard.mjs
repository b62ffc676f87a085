// The walk by the keyboard alone, from the token on; one always sees where one is.

import assert from 'node:assert/strict';
import { keyboard } from '../lib/hands.mjs';
import { arrived, seedWalk, walk } from '../lib/walk.mjs';

export default async function ({ server, browser }) {
  await seedWalk(server);
  const person = await browser.person();
  const page = await person.newPage();
  const hands = keyboard(page);
  await page.goto('/');
  await hands.fill(page.getByLabel('Token'), await server.token('mia'));
  await hands.go(page.getByRole('button', { name: 'Sign in' }));

  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'content', 'the navigation can be skipped');
  await page.reload();
  await walk(page, hands);
  await arrived(server);
}
