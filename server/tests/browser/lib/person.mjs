// Somebody who is signed in.

/** A page of the person `name`, who has signed in by the form; `options` are those of the browser. */
export async function signedIn(browser, server, name, options = {}) {
  const person = await browser.person(options);
  const page = await person.newPage();
  await signIn(page, await server.token(name));
  return page;
}

/** Signs in by the form on the page where somebody without a session ends up. */
export async function signIn(page, token, at = '/') {
  await page.goto(at);
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL((url) => url.pathname !== '/sign-in');
}
