// Somebody without a mouse.

import { showsFocus } from './layout.mjs';

/** More stops than any page has before what somebody wants. */
const TOO_FAR = 150;

/** Presses Tab until the element has the focus; wherever it stops on the way, one sees where. */
export async function tabTo(page, wanted) {
  await wanted.first().waitFor();
  for (let stop = 0; stop < TOO_FAR; stop += 1) {
    const there = await wanted.evaluateAll((elements) => elements.includes(document.activeElement));
    if (there) {
      return;
    }
    await page.keyboard.press('Tab');
    if (!(await showsFocus(page))) {
      const at = await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200));
      // After the last stop the browser's own controls come, and then the page again.
      if (!at?.startsWith('<body')) {
        throw new Error(`${page.url()}: the focus cannot be seen on ${at}`);
      }
    }
  }
  throw new Error(`${page.url()}: not to be reached by Tab: ${wanted}`);
}

/** Goes there and follows the link, or presses the button. */
export async function press(page, wanted) {
  await tabTo(page, wanted);
  await page.keyboard.press('Enter');
}

/** Goes to the field and types over what is in it. */
export async function type(page, field, text) {
  await tabTo(page, field);
  await page.keyboard.press('Control+A');
  await page.keyboard.type(text);
}
