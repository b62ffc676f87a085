// The walk that the page is made for: find a route, try to promote it in production, see what is missing, add
// it, promote, halt, take the halt back, tick a step of the plan.

import assert from 'node:assert/strict';
import { api, at } from './api.mjs';
import { House } from '../seed/house.mjs';

const ROUTE = 'find_commit';
const WHERE = 'production';
const PLAN = '## Before it is offered to anybody\n\n- [ ] [Gitaly] Compare the answers\n- [ ] Halt it once\n';

/** A route that lacks one piece of evidence for its next promotion in production. */
export async function seedWalk(server) {
  const house = await House.of(server);
  const gates = { opt_in: [{ gate: 'acceptance' }] };
  await house.ada.post('policies', { policy: { name: 'tested', description: 'Evidence.', gates }, reason: 'ours' });
  await house.route(ROUTE);
  await house.route('raw_blame');
  await house.mia.putText(`routes/${ROUTE}/plan`, PLAN, 'how it goes');
  await house.stages(ROUTE, ['opt_in', 'opt_in']);
  await house.ada.patch(`routes/${ROUTE}`, { policy: 'tested', reason: 'from now on with evidence' });
  for (const environment of ['dev', 'staging']) {
    await house.accept(ROUTE, environment);
  }
  for (const kind of ['performance', 'resources']) {
    await house.otto.post(at(ROUTE, WHERE, 'evidence'), { kind, verdict: 'pass', summary: 'as on the old path' });
  }
}

/** Walks from the board, on which somebody is already; `seen` is called after each change that others see. */
export async function walk(page, { go, fill, choose }, seen = async () => {}) {
  const main = page.getByRole('main');
  const link = (name) => main.getByRole('link', { name }).first();
  const button = (name) => main.getByRole('button', { name }).first();
  const says = (text) => main.getByText(text).first().waitFor();

  await fill(page.getByRole('searchbox'), 'find_comm');
  await go(button('Filter'));
  assert.equal(await link('raw_blame').count(), 0);
  await go(link(ROUTE));
  await go(main.getByRole('heading', { name: WHERE }).getByRole('link', { name: WHERE }));

  await go(link('Promote…'));
  await go(button('Preview'));
  assert.match(await main.locator('.complaint').first().innerText(), /why/);
  await fill(page.getByLabel('Reason'), 'tested by everybody');
  await go(button('Preview'));
  await says('acceptance');
  await says(/error.rate/);
  assert.equal(await button('Promote').count(), 0, 'what is refused is not offered');
  assert.equal(await page.getByLabel('Reason').inputValue(), 'tested by everybody', 'what was typed is there');

  await go(link(/evidence/i));
  await choose(page.getByLabel('About'), 'error rate');
  await fill(page.getByLabel('Summary'), 'no error in 10,000 calls');
  await go(button('Add evidence'));
  await says(/evidence about error rate is on record/);

  await go(link('Promote…'));
  await fill(page.getByLabel('Reason'), 'tested by everybody');
  await go(button('Preview'));
  await main.getByRole('heading', { name: 'What it would do' }).waitFor();
  await go(button('Promote'));
  await main.locator('.complaint').first().waitFor();
  await fill(page.getByLabel(/^Type/), ROUTE);
  await go(button('Promote'));
  await says(/Opt-in|opt_in/);
  await seen('Opt-in');

  await go(button(`Halt ${WHERE}`));
  await says(/halted by hand/);
  await seen(/halted/i);
  await go(link('Revert…'));
  assert.match(await page.getByLabel('Reason').inputValue(), /undoes/);
  await go(button('Preview'));
  await fill(page.getByLabel(/^Type/), ROUTE);
  await go(button('Resume'));
  await seen(null);

  await go(link(ROUTE));
  await go(link('Open the plan'));
  await go(button(/^Done ?: Compare the answers/));
  await says(/Done by/);
}

/** What has become of it all, as the interface says it. */
export async function arrived(server) {
  const vera = await api(server, 'vera');
  const rollout = await vera.get(at(ROUTE, WHERE));
  assert.deepEqual([rollout.stage, rollout.halt ?? null], ['opt_in', null]);
  const plan = await vera.get(`routes/${ROUTE}/plan`);
  assert.equal(plan.sections.flatMap(({ steps }) => steps).filter(({ done }) => done).length, 1);
}
