// The walk with JavaScript off.

import { pointer } from '../lib/hands.mjs';
import { signedIn } from '../lib/person.mjs';
import { arrived, seedWalk, walk } from '../lib/walk.mjs';

export default async function ({ server, browser }) {
  await seedWalk(server);
  const page = await signedIn(browser, server, 'mia', { javaScriptEnabled: false });
  await walk(page, pointer(page));
  await arrived(server);
}
