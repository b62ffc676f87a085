// Two ways to work with a page: by pointing at things, and by the keyboard alone.

import { press, tabTo, type } from './keyboard.mjs';

/** Somebody with a mouse, or a finger. */
export function pointer(page) {
  return {
    go: (link) => andThen(page, () => link.click()),
    fill: (field, text) => field.fill(text),
    choose: (list, label) => list.selectOption({ label }),
  };
}

/** Somebody without: Tab, Enter, letters. The focus is seen wherever it stops. */
export function keyboard(page) {
  return {
    go: (link) => andThen(page, () => press(page, link)),
    fill: (field, text) => type(page, field, text),
    choose: async (list, label) => {
      await tabTo(page, list);
      await page.keyboard.type(label);
    },
  };
}

/** Does it, and waits for the page that it leads to. */
async function andThen(page, act) {
  await Promise.all([page.waitForEvent('framenavigated'), act()]);
  await page.waitForLoadState();
}
