// The walk with a mouse, while somebody else watches the board.

import assert from 'node:assert/strict';
import { pointer } from '../lib/hands.mjs';
import { signedIn } from '../lib/person.mjs';
import { arrived, seedWalk, walk } from '../lib/walk.mjs';

/** How soon others see a change, in milliseconds. */
const SOON = 5_000;

export default async function ({ server, browser }) {
  await seedWalk(server);
  const board = await signedIn(browser, server, 'vera');
  await board.evaluate(() => (window.isTheSamePage = true));
  const cell = board.getByRole('row', { name: /find_commit/ }).getByRole('cell').nth(2);
  const halted = cell.getByText(/halted/i);
  const page = await signedIn(browser, server, 'mia');
  await walk(page, pointer(page), async (what) => {
    const shown = what ? cell.getByText(what).first().waitFor({ timeout: SOON }) : halted.first().waitFor({ state: 'hidden', timeout: SOON });
    await shown;
  });
  assert.ok(await board.evaluate(() => window.isTheSamePage), 'the board was loaded anew');
  await arrived(server);
}
