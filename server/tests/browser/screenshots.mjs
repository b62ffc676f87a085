// Pictures of every page: at three widths, light and dark.
//
//   node screenshots.mjs PROGRAM [FOLDER]
//
// PROGRAM is the server, built with the feature `test-clock`.

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SCHEMES } from './lib/axe.mjs';
import { startBrowser } from './lib/chromium.mjs';
import { forms, pages } from './lib/pages.mjs';
import { startServer } from './lib/server.mjs';
import { signedIn } from './lib/person.mjs';
import { seedExample } from './seed/example.mjs';

const [program, folder = 'target/screenshots'] = process.argv.slice(2);
const WIDTHS = [390, 1280, 2560];

const server = await startServer(program);
let browser;
try {
  await seedExample(server);
  browser = await startBrowser(server.url);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await depict(await (await browser.person()).newPage(), { 'sign-in': '/sign-in' });
  await depict(await signedIn(browser, server, 'ada'), { ...pages(), ...forms() });
} finally {
  await browser?.stop();
  await server.stop();
}

async function depict(page, named) {
  for (const [name, address] of Object.entries(named)) {
    const reply = await page.goto(address);
    console.log(`${reply.status()} ${address}`);
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme });
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: Math.min(1_600, Math.round(width * 0.75) + 400) });
        await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      }
    }
  }
}
