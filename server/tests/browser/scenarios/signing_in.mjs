// Who signs in gets where they wanted to go; who cannot is told why; a session that has ended says so.

import assert from 'node:assert/strict';
import { api } from '../lib/api.mjs';
import { signIn } from '../lib/person.mjs';

export default async function ({ server, browser }) {
  await promised(server, browser, true);
  await promised(server, browser, false);
  await ended(server, browser);
}

async function promised(server, browser, javaScriptEnabled) {
  const person = await browser.person({ javaScriptEnabled });
  const page = await person.newPage();
  await page.goto('/?q=find%26b');
  assert.equal(new URL(page.url()).pathname, '/sign-in');
  const token = page.getByLabel('Token');
  await token.fill('not.a.token');
  await page.getByRole('button', { name: 'Sign in' }).click();
  const complaint = page.locator('.complaint');
  await complaint.waitFor();
  assert.notEqual((await complaint.innerText()).trim(), '');
  assert.equal(await token.getAttribute('aria-invalid'), 'true');

  await token.fill(await server.token('vera'));
  await token.press('Enter');
  await page.waitForURL('**/?q=find%26b');
  const [cookie] = (await person.cookies()).filter(({ name }) => name === 'switchover_session');
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, 'Strict', '/']);
  assert.equal(await page.evaluate(() => document.cookie), '', 'no script reads it');

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.waitForURL('**/sign-in');
  await page.goto('/');
  assert.equal(new URL(page.url()).pathname, '/sign-in');
  await person.close();
}

/** The token is revoked while somebody works. */
async function ended(server, browser) {
  const person = await browser.person();
  const page = await person.newPage();
  const token = await server.token('otto', '7h');
  await signIn(page, token, '/?q=mine');
  const { jti } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  const ada = await api(server, 'ada');
  await ada.post('tokens/revocations', { jti, reason: 'a laptop was lost' });
  await page.goto('/?q=mine');
  assert.match(await page.locator('main').innerText(), /session has ended/i);
  await signIn(page, await server.token('otto'), page.url());
  assert.equal(new URL(page.url()).search, '?q=mine');
}
