// The documentation of the interface opens without a session, and without a complaint.

import assert from 'node:assert/strict';

export default async function ({ browser }) {
  const person = await browser.person();
  const page = await person.newPage();
  await page.goto('/api/docs/');
  await page.getByText('/api/v1/routes/{route}/environments/{environment}/promotions').first().waitFor();
  assert.match(await page.title(), /Switchover|Swagger/);
}
