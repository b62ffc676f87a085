// Chromium, and pages that remember everything that went wrong in them.

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const FLAGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** How long a page may take for anything, in milliseconds. */
const PATIENCE = 15_000;

/** Where the browser is: what CHROMIUM says, or the first of its names in the search path. */
export function findChromium() {
  const places = (process.env.PATH ?? '').split(delimiter);
  const candidates = process.env.CHROMIUM
    ? [process.env.CHROMIUM]
    : places.flatMap((place) => NAMES.map((name) => join(place, name)));
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Starts a browser over one server. */
export async function startBrowser(url) {
  // Its sandbox needs what root in a container does not have.
  const args = process.getuid?.() === 0 ? [...FLAGS, '--no-sandbox'] : FLAGS;
  const browser = await chromium.launch({ executablePath: findChromium(), args });
  return new Browser(browser, url);
}

class Browser {
  #browser;
  #url;
  #pages = [];
  #complaints = [];

  constructor(browser, url) {
    this.#browser = browser;
    this.#url = url;
  }

  /** What Playwright knows of one person's browser: cookies, size, colour scheme. */
  async person(options = {}) {
    const context = await this.#browser.newContext({ baseURL: this.#url, ...options });
    context.setDefaultTimeout(PATIENCE);
    context.on('page', (page) => this.#watch(page));
    return context;
  }

  /** The pages that were opened, the last one first. */
  get pages() {
    return this.#pages.filter((page) => !page.isClosed());
  }

  /**
   * Everything that the pages complained of since this was last asked: broken content policy, errors of
   * scripts, whatever else the console calls an error, requests to anywhere else, requests that failed.
   */
  complaints() {
    return this.#complaints.splice(0);
  }

  async stop() {
    await this.#browser.close();
  }

  #watch(page) {
    this.#pages.unshift(page);
    const complain = (what) => this.#complaints.push(`${page.url()}: ${what}`);
    page.on('pageerror', (error) => complain(`script: ${error.message}`));
    page.on('console', (message) => {
      if (message.type() === 'error' && !isRefusal(message)) {
        complain(`console: ${message.text()}`);
      }
    });
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(this.#url) && !url.startsWith('data:')) {
        complain(`asks somebody else: ${url}`);
      }
    });
    page.on('response', (response) => {
      if (response.status() >= 500 || (response.status() >= 400 && !response.request().isNavigationRequest())) {
        complain(`${response.status()} for ${response.request().method()} ${response.url()}`);
      }
    });
  }
}

/** Chromium logs every refused form as an error; whether it should be refused is the scenario's to say. */
function isRefusal(message) {
  return message.text().startsWith('Failed to load resource: the server responded with a status of 4');
}
