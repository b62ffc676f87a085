// What people can type, at its longest and its worst. All of it is legal.

import { at } from '../lib/api.mjs';
import { Fleet, counted } from './fleet.mjs';
import { House } from './house.mjs';

export const SCRIPT = `<script>document.title='broken in'</script><img src=x onerror="document.title='broken in'">`;
const RIGHT_TO_LEFT = 'هذا المسار ينقل قراءة المستودعات إلى الخدمة الجديدة، خطوة بخطوة، ويمكن إيقافه في أي وقت';
const EMOJI = '🚦👩‍👩‍👧‍👦🏳️‍🌈 rollout of the ‘new’ path 🇩🇪 café 日本語のテスト';
/** No place to break a line at. */
const UNBROKEN = 'W'.repeat(200);
export const LONG = 'a_route_with_the_longest_name_that_there_can_be'.padEnd(63, '_x');

/** Three routes that hold all that, and everything that hangs on routes. */
export async function seedHostile(server) {
  const house = await House.of(server);
  await house.route(LONG, {
    endpoint: `gitaly.${'Very'.repeat(20)}/${'Long'.repeat(25)}`,
    flag: 'GITALY_' + 'X'.repeat(57),
    operation: 'write',
    owner: UNBROKEN.slice(0, 100),
    description: UNBROKEN + ' ' + RIGHT_TO_LEFT,
    labels: { ['l'.repeat(63)]: 'v'.repeat(63) },
    contacts: { chat: UNBROKEN },
    links: { issue: `https://example.com/${'i'.repeat(180)}`, dashboard: `https://example.com/?${'d'.repeat(180)}` },
  });
  await house.route('scripted', {
    owner: SCRIPT.slice(0, 50),
    description: SCRIPT,
    labels: { team: 'a"b<c>' },
    contacts: { chat: SCRIPT },
  });
  await house.route('emoji', { owner: '🚦 الفريق', description: `${EMOJI}\n${RIGHT_TO_LEFT}`, requires: ['scripted'] });
  for (const key of [LONG, 'scripted', 'emoji']) {
    await house.stages(key, ['opt_out', 'opt_in']);
  }
  const plan = `# ${SCRIPT}\n\n## ${UNBROKEN}\n<!-- gate: opt_in -->\n\n- [ ] [${EMOJI}] ${SCRIPT}\n- [ ] ${RIGHT_TO_LEFT}\n- [ ] ${UNBROKEN}\n`;
  for (const key of [LONG, 'scripted', 'emoji']) {
    await house.mia.putText(`routes/${key}/plan`, plan, SCRIPT);
    const said = { kind: 'other', verdict: 'fail', summary: SCRIPT + UNBROKEN, url: `https://example.com/${'u'.repeat(180)}` };
    await house.otto.post(at(key, 'staging', 'evidence'), said);
    await house.max.post(at(key, 'staging', 'approvals'), { to: 'opt_out', comment: `${SCRIPT} ${EMOJI}` });
    await house.halt(key, 'dev', `${SCRIPT} ${UNBROKEN} ${RIGHT_TO_LEFT}`);
    await house.otto.put(`routes/${key}/externals/dns`, { owner: UNBROKEN.slice(0, 100), description: SCRIPT, reason: EMOJI });
  }
  await house.mia.post('cohorts', { name: `c${'o'.repeat(62)}`, keys: [SCRIPT, RIGHT_TO_LEFT, UNBROKEN], description: SCRIPT, reason: SCRIPT });
  await house.otto.put(at('scripted', 'staging', 'cohorts'), { include: [SCRIPT, UNBROKEN], exclude: [EMOJI], reason: EMOJI });
  await house.ada.post('policies', {
    policy: { name: `p${'o'.repeat(62)}`, description: SCRIPT + UNBROKEN, gates: { opt_in: [{ gate: 'approval', count: 2 }] } },
    reason: SCRIPT,
  });
  await house.mia.post('releases', { name: '17.5.0-' + 'r'.repeat(50), environment: 'on-prem', reason: SCRIPT });
  await house.mia.post('freezes', { environments: ['production'], reason: SCRIPT + UNBROKEN });
  await house.otto.put(at(LONG, 'dev', 'mirror'), { read_percent: 0, write_percent: 100, reason: SCRIPT });
  const sdk = await house.ada.sdk('dev', EMOJI);
  const { id } = await sdk.post('/sdk/v1/backfills', { instance: 'a', route: LONG, batch: 1_000 });
  await sdk.post(`/sdk/v1/backfills/${id}`, { instance: 'a', cursor: UNBROKEN, keys: 3, failed: [SCRIPT, UNBROKEN, RIGHT_TO_LEFT] });
  const fleet = new Fleet(await house.ada.sdk('staging', SCRIPT.slice(0, 90)), [SCRIPT.slice(0, 90), EMOJI.slice(0, 20), 'W'.repeat(100)]);
  const routes = [LONG, 'scripted', 'emoji'].map((route) => ({ route, override: false }));
  await fleet.report([counted('scripted', 'old', 1e9), counted('scripted', 'new', 3)], { routes });
}
