// How pages lie on the screen.

/** From a small phone to a 4K screen, in CSS pixels. */
const WIDTHS = [360, 390, 1280, 2560, 3840];

/** Where the page as a whole can be pushed sideways, and by what: one line for each width. */
export async function overflows(page) {
  const found = [];
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    const wide = await page.evaluate(() => {
      const root = document.documentElement;
      if (root.scrollWidth <= root.clientWidth) {
        return null;
      }
      const beyond = [...document.querySelectorAll('body *')].filter(
        (element) => element.getBoundingClientRect().right > root.clientWidth + 1 && !element.closest('.scroll'),
      );
      return beyond.slice(-3).map((element) => element.outerHTML.slice(0, 160));
    });
    if (wide) {
      found.push(`${page.url()} at ${width} px: ${wide.join(' | ')}`);
    }
  }
  return found;
}

/** Whether whatever has the focus shows it: a ring, or another look than without. */
export function showsFocus(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body) {
      return false;
    }
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    return (outlineStyle !== 'none' && outlineWidth !== '0px' || boxShadow !== 'none') && box.width > 0 && box.height > 0;
  });
}

/** Controls that are hard to hit: one line for each. */
export function smallTargets(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll('button, input:not([type=hidden]), select, textarea, summary')]
      .map((element) => ({ element, box: element.getBoundingClientRect() }))
      .filter(({ box }) => box.width > 0 && box.height > 0 && (box.width < 20 || box.height < 20))
      .map(({ element, box }) => `${Math.round(box.width)}×${Math.round(box.height)}: ${element.outerHTML.slice(0, 120)}`),
  );
}
