// A house in the middle of its migrations: something of everything that the page can show.

import { readFile } from 'node:fs/promises';
import { at } from '../lib/api.mjs';
import { moved } from './data.mjs';
import { Fleet, counted } from './fleet.mjs';
import { House } from './house.mjs';

const PLAN = await readFile(new URL('../../../../docs/examples/gitaly/plan.md', import.meta.url), 'utf8');

/** Route, service, operation, owner, and its stages in dev, staging, production and on-prem. */
const ROUTES = [
  ['find_commit', 'CommitService', 'read', 'source-code', '1111'],
  ['count_commits', 'CommitService', 'read', 'source-code', '2210'],
  ['raw_blame', 'CommitService', 'read', 'source-code', '1110'],
  ['list_files', 'CommitService', 'read', 'source-code', '3222'],
  ['find_all_tags', 'RefService', 'read', 'source-code', '2220'],
  ['ref_exists', 'RefService', 'read', 'source-code', '3332'],
  ['delete_refs', 'RefService', 'write', 'source-code', '1000'],
  ['user_create_tag', 'OperationService', 'write', 'create', '2211'],
  ['user_merge_branch', 'OperationService', 'write', 'create', '1110'],
  ['user_rebase', 'OperationService', 'write', 'create', '0000'],
  ['user_squash', 'OperationService', 'write', 'create', '1100'],
  ['get_lfs_pointers', 'BlobService', 'read', 'lfs', '3333'],
  ['get_all_lfs_pointers', 'BlobService', 'read', 'lfs', '3322'],
  ['repository_size', 'RepositoryService', 'read', 'storage', '3333'],
  ['create_fork', 'RepositoryService', 'write', 'storage', '2100'],
  ['fetch_remote', 'RepositoryService', 'write', 'storage', '1110'],
  ['write_commit_graph', 'RepositoryService', 'call', 'storage', '2222'],
  ['search_files_by_content', 'RepositoryService', 'read', 'search', '2110'],
  ['wiki_find_page', 'WikiService', 'read', 'wiki', '3221'],
  ['wiki_write_page', 'WikiService', 'write', 'wiki', '0000'],
];

/** Seeds a server that has just started; twenty days pass in it. */
export async function seedExample(server) {
  const house = await House.of(server);
  await house.ada.post('routes:import', ROUTES.map(described));
  await prepared(house);
  for (const [key, , , , stages] of ROUTES) {
    await house.stages(key, [...stages].map((digit) => ['ready_for_testing', 'opt_in', 'opt_out', 'mandatory'][digit]));
    await server.hoursPass(12);
  }
  const scan = { repository: 'gitlab-org/gitlab', revision: '4f1c2d9', files: 812, routes: { repository_size: 0 } };
  await house.otto.post('references', scan);
  await house.mia.post('routes/repository_size/retire', { reason: 'the old path is gone from the code' });
  await releases(house);
  await cohorts(house);
  await waiting(house);
  await server.hoursPass(24 * 6);
  await exposed(house);
  await moved(house);
  await halted(house);
  await reported(house);
}

function described([key, service, operation, owner]) {
  const method = key.split('_').map((word) => word[0].toUpperCase() + word.slice(1)).join('');
  return {
    key,
    endpoint: `gitaly.${service}/${method}`,
    operation,
    owner,
    policy: 'open',
    description: `Moves ${key.replaceAll('_', ' ')} from Rugged to Gitaly.`,
    labels: { era: '2018', tier: operation === 'write' ? 'careful' : 'usual' },
    contacts: { chat: `#g_${owner.replaceAll('-', '_')}` },
    links: { issue: 'https://gitlab.com/gitlab-org/gitaly/issues/385' },
    ...(key === 'raw_blame' ? { requires: ['find_commit'] } : {}),
    ...(key === 'find_all_tags' || key === 'ref_exists' ? { ramp_group: 'refs' } : {}),
  };
}

/** Nobody has built these yet. */
async function prepared(house) {
  const step = (key, action, more = {}) =>
    house.mia.post(`routes/${key}/preparation`, { action, reason: 'planned with the team', ...more });
  await house.route('object_format', { endpoint: 'gitaly.RepositoryService/ObjectFormat', preparation: { priority: 1 } });
  await step('object_format', 'estimate', { estimate: 5, priority: 1 });
  await step('object_format', 'move_ahead');
  await step('object_format', 'complete', { phase: 'rpc_design' });
  await house.route('optimize_repository', { endpoint: 'gitaly.RepositoryService/OptimizeRepository', preparation: {} });
}

async function releases(house) {
  const draft = (name, more) =>
    house.mia.post('releases', { name, environment: 'on-prem', reason: 'feature freeze', ...more });
  await draft('17.5.0');
  await house.mia.post('releases/on-prem/17.5.0/publish', { reason: '17.5.0 is out' });
  await draft('17.6.0', { after: '17.5.0' });
}

async function cohorts(house) {
  const keys = ['gitlab-org/gitlab', 'gitlab-org/gitaly', '278964'];
  await house.mia.post('cohorts', { name: 'beta_testers', keys, description: 'They asked for it.', reason: 'first users' });
  await house.mia.post('cohorts', { name: 'large_monorepos', keys: ['4711'], reason: 'to be spared' });
  await house.mia.put('ramp-groups/refs', { keys: 'project', description: 'Refs move together.', reason: 'agreed' });
}

/** A promotion to opt-in that a person can read: some of its gates pass, some do not. */
async function waiting(house) {
  const about = { owner: 'network@example.com', description: 'The proxy lets large answers through', reason: 'known since May' };
  await house.mia.putText('routes/user_rebase/plan', PLAN.replaceAll('find_commit', 'user_rebase'), 'how it goes');
  await house.mia.putText('routes/find_commit/plan', PLAN, 'how it goes');
  await house.otto.put('routes/search_files_by_content/externals/proxy', about);
  for (const key of ['user_rebase', 'find_commit', 'count_commits', 'user_merge_branch', 'search_files_by_content']) {
    await house.ada.patch(`routes/${key}`, { policy: 'gitaly', reason: 'by the usual process' });
  }
  const test = { mode: 'on', reason: 'acceptance test' };
  await house.otto.put(at('user_rebase', 'dev', 'setting'), test);
  await house.halt('user_rebase', 'dev', 'rollback drill');
  await house.server.hoursPass(1);
  await house.otto.post(at('user_rebase', 'dev', 'resume'), { reason: 'the drill went well' });
  await house.accept('user_rebase', 'dev');
  const { sections } = await house.otto.get('routes/user_rebase/plan');
  const [step] = sections.flatMap((section) => section.steps);
  await house.otto.patch(`routes/user_rebase/plan/steps/${step.id}`, { done: true, note: 'no difference', reason: 'a window each' });
  await house.mia.patch('routes/user_rebase', { links: { dashboard: 'https://grafana.example.com/d/rebase' }, reason: 'made' });
  await house.max.post(at('count_commits', 'production', 'approvals'), { to: 'opt_out', comment: 'read the evidence' });
}

/** Ramps, cohorts, shadow reads. */
async function exposed(house) {
  const steps = [5, 25, 50, 100].map((percent) => ({ percent, hold: '24h' }));
  const ramp = async (key, environment) => {
    await house.mia.put(at(key, environment, 'ramp'), { steps, reason: 'in four days' });
    await house.mia.post(at(key, environment, 'ramp/start'), { reason: 'the graphs are calm' });
  };
  await ramp('raw_blame', 'production');
  await house.server.hoursPass(25);
  await until('the ramp goes on', async () => {
    const { setting } = await house.otto.get(at('raw_blame', 'production'));
    return setting.percent === 25;
  });
  await ramp('fetch_remote', 'production');
  await house.otto.post(at('fetch_remote', 'production', 'ramp/pause'), { reason: 'a slow disk is being replaced' });
  await house.otto.put(at('user_merge_branch', 'production', 'setting'), { mode: 'ramp', percent: 12.5, reason: 'by hand' });
  await house.otto.put(at('user_squash', 'dev', 'setting'), { mode: 'off', reason: 'a fixture is broken' });
  await house.otto.put(at('find_commit', 'production', 'mirror'), { read_percent: 10, write_percent: 0, reason: 'compare' });
  await house.otto.put(at('raw_blame', 'production', 'cohorts'), {
    include: [],
    include_cohorts: ['beta_testers'],
    exclude: ['4711'],
    reason: 'start with those who asked',
  });
}

/** An hour of calls in production, as three processes count them. */
async function reported(house) {
  const fleet = new Fleet(await house.ada.sdk('production', 'web'), ['web-1:4711', 'web-2:4711', 'web-3:4711']);
  const keys = ROUTES.map(([key]) => key);
  const known = (number) =>
    keys.map((route) => ({ route, ...(route === 'list_files' && number === 2 ? { override: false } : {}) }));
  await fleet.report([], { routes: known, versions: ['17.5.0', '17.5.0', '17.4.2'] });
  await fleet.lastHour((along) => {
    const wave = 1 + 0.3 * Math.sin(along * 9);
    const calls = (share, many = 900) => Math.round(many * wave * share);
    return [
      counted('raw_blame', 'old', calls(along > 0.4 ? 0.75 : 0.95), { slowest: 210, errors: 1 }),
      counted('raw_blame', 'new', calls(along > 0.4 ? 0.25 : 0.05), { slowest: 90 }),
      counted('find_commit', 'new', calls(1, 2_400), { slowest: 8, errors: along > 0.7 ? 2 : 0 }),
      counted('find_commit', 'old', calls(0.1, 2_400), {
        slowest: 14,
        role: 'mirror',
        comparisons: calls(0.1, 2_400),
        mismatches: along > 0.5 && along < 0.6 ? 1 : 0,
      }),
      counted('count_commits', 'new', calls(1), { slowest: 35 }),
      counted('list_files', 'new', calls(0.66)),
      counted('list_files', 'old', calls(0.34), { slowest: 45 }),
      counted('user_merge_branch', 'new', calls(0.125)),
      counted('user_merge_branch', 'old', calls(0.875)),
      counted('get_lfs_pointers', 'new', calls(1, 300)),
      counted('user_rebase', 'old', calls(1, 40), { slowest: 900 }),
    ];
  });
  const staging = new Fleet(await house.ada.sdk('staging', 'web'), ['web-staging:80'], 'staging');
  await staging.report([counted('raw_blame', 'new', 120)], { routes: keys.map((route) => ({ route })) });
}

/** One by a guard, which has seen errors, and two by people. */
async function halted(house) {
  const guards = [
    { name: 'errors', measure: 'error_rate', limit: 0.01, action: 'halt' },
    { name: 'p99', measure: 'p99_ms', limit: 500, action: 'pause' },
  ];
  const policy = { name: 'watched', description: 'Guards watch every call.', gates: { opt_out: [{ gate: 'soak', days: 7 }] }, guards };
  await house.ada.post('policies', { policy, reason: 'for what many depend on' });
  for (const key of ['raw_blame', 'write_commit_graph', 'fetch_remote']) {
    await house.ada.patch(`routes/${key}`, { policy: 'watched', reason: 'many depend on it' });
  }
  const sdk = await house.ada.sdk('production', 'jobs');
  const fleet = new Fleet(sdk, ['jobs-1:80', 'jobs-2:80', 'jobs-3:80', 'jobs-4:80'], 'jobs');
  await until('a guard halts the route', async () => {
    await fleet.report([counted('write_commit_graph', 'new', 400, { errors: 90 })]);
    return (await house.otto.get(at('write_commit_graph', 'production'))).halt;
  });
  await house.halt('find_all_tags', 'production', 'tags with signatures come back without them: incident 4821');
  await house.halt('create_fork', 'staging', 'forks of forks fail');
}

/** Looks until it is so. What the server does by itself it does within seconds. */
async function until(what, isSo) {
  for (let look = 0; look < 100; look += 1) {
    if (await isSo()) {
      return;
    }
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`not within ten seconds: ${what}`);
}
