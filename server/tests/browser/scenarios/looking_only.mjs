// A viewer sees everything and no control that changes anything; the server refuses them anyway.

import assert from 'node:assert/strict';
import { forms, pages } from '../lib/pages.mjs';
import { signedIn } from '../lib/person.mjs';
import { seedExample } from '../seed/example.mjs';

/** What a viewer may send: nothing of these changes what anybody gets. */
const HARMLESS = ['/sign-out', '/audit/verify', '/forecast'];

export default async function ({ server, browser }) {
  await seedExample(server);
  const page = await signedIn(browser, server, 'vera');
  const closed = Object.values(forms());
  const wrong = [];
  for (const address of Object.values(pages()).filter((page) => !page.endsWith('/promote') && page !== '/keys')) {
    const reply = await page.goto(address);
    wrong.push(...(reply.status() === 200 ? [] : [`${address}: ${reply.status()}`]));
    const sends = await page.locator('form[method=post]').evaluateAll((found) => found.map(({ action }) => new URL(action).pathname));
    wrong.push(...sends.filter((to) => !HARMLESS.includes(to)).map((to) => `${address} has a form for ${to}`));
    const links = await page.locator('a[href]').evaluateAll((found) => found.map(({ href }) => new URL(href).pathname));
    wrong.push(...links.filter((to) => closed.includes(to) || to === '/keys' || to.startsWith('/new/')).map((to) => `${address} leads to ${to}`));
  }
  assert.deepEqual(wrong, []);

  const csrf = await page.locator('input[name=csrf]').first().inputValue();
  const headers = { origin: server.url, 'sec-fetch-site': 'same-origin' };
  assert.equal((await page.goto('/keys')).status(), 403);
  for (const address of closed) {
    const form = { csrf, step: 'apply', reason: 'none of my business', to: 'opt_out', confirm: 'raw_blame' };
    const reply = await page.request.post(server.url + address, { form, headers, maxRedirects: 0 });
    assert.equal(reply.status(), 403, `POST ${address}`);
    assert.equal((await page.goto(address)).status(), 403, address);
  }
}
