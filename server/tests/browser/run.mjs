// Runs one scenario against a server and a browser of its own.
//
//   node run.mjs SCENARIO PROGRAM
//
// SCENARIO is a file in scenarios/, PROGRAM the server, built with the feature `test-clock`. Exit status 0
// when all holds; otherwise it says what does not, and leaves pictures of the open pages in PICTURES.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startServer } from './lib/server.mjs';

const [scenario, program, pictures = 'target/browser'] = process.argv.slice(2);
/** Nothing takes so long, in milliseconds, unless it hangs. */
const TOO_LONG = 240_000;

const { startBrowser, findChromium } = await import('./lib/chromium.mjs').catch(missing);
if (!findChromium()) {
  missing();
}
const { default: play } = await import(`./scenarios/${scenario}.mjs`);

const server = await startServer(program);
let browser;
let failed;
try {
  browser = await startBrowser(server.url);
  const late = new Promise((_, refuse) => {
    setTimeout(() => refuse(new Error(`not over after ${TOO_LONG / 1_000} s`)), TOO_LONG).unref();
  });
  await Promise.race([play({ server, browser }), late]);
  const complaints = browser.complaints();
  if (complaints.length > 0) {
    throw new Error(`pages complained:\n${complaints.join('\n')}`);
  }
} catch (error) {
  failed = error;
  // Without the colours of a terminal.
  console.error((error.stack ?? String(error)).replaceAll(/\u001b\[\d+m/g, ''));
  await depict();
} finally {
  await browser?.stop();
  await server.stop();
}
process.exit(failed ? 1 : 0);

/** What the open pages look like now. */
async function depict() {
  await mkdir(pictures, { recursive: true });
  for (const [number, page] of (browser?.pages ?? []).entries()) {
    const path = join(pictures, `${scenario}-${number}.png`);
    await page.screenshot({ path, timeout: 5_000 }).catch(() => {});
    console.error(`${page.url()} looks like ${path}`);
  }
}

function missing(error) {
  if (error && error.code !== 'ERR_MODULE_NOT_FOUND') {
    throw error;
  }
  const what = error ? 'The npm packages of server/tests/browser are' : 'Chromium is';
  console.error(`${what} missing: run .ci/browser, which installs what it can and names the rest`);
  process.exit(1);
}
