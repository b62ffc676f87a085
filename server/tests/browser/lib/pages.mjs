// Which pages there are.

/** Forms of a rollout, by the end of their address. */
const OF_A_ROLLOUT = [
  'promote',
  'demote',
  'halt',
  'setting',
  'cohorts',
  'mirror',
  'ramp',
  'evidence',
  'approve',
];
const OF_STORES = ['backfill', 'repairs', 'consistency', 'consistency-schedule', 'writers'];
const OF_A_ROUTE = ['edit', 'runbook'];
const FORMS = ['cohort', 'environment', 'freeze', 'key', 'policy', 'ramp-group', 'release', 'revocation'];

/** Pages that there always are, by name. */
export const EVERYWHERE = {
  'board': '/',
  'explain': '/explain',
  'audit': '/audit',
  'releases': '/releases',
  'forecast': '/forecast',
  'environments': '/environments',
  'policies': '/policies',
  'policy': '/policies/gitaly',
  'cohorts': '/cohorts',
  'keys': '/keys',
};

/**
 * Pages of a house with routes, by name: for a route that is exposed in an environment, one whose promotion in
 * dev waits for something, and one whose data moves.
 */
export function pages({ route = 'raw_blame', environment = 'production', waiting = 'user_rebase', data = 'save_gear' } = {}) {
  return {
    ...EVERYWHERE,
    'explain': `/explain?route=${route}&environment=${environment}&key=278964`,
    'route': `/routes/${route}`,
    'rollout': `/routes/${route}/environments/${environment}`,
    'rollout-on-prem': `/routes/${route}/environments/on-prem`,
    'plan': `/routes/${waiting}/plan`,
    'rollout-waiting': `/routes/${waiting}/environments/dev`,
    'promote-waiting': `/routes/${waiting}/environments/dev/promote`,
    'rollout-data': `/routes/${data}/environments/dev`,
    'plan-data': `/routes/${data}/plan`,
    'environment': `/environments/${environment}`,
  };
}

/** Forms that change something, by name, of the same house. */
export function forms({ route = 'raw_blame', environment = 'production', data = 'save_gear' } = {}) {
  const addresses = [
    ...OF_A_ROLLOUT.map((form) => `/routes/${route}/environments/${environment}/${form}`),
    ...OF_STORES.map((form) => `/routes/${data}/environments/dev/${form}`),
    ...OF_A_ROUTE.map((form) => `/routes/${route}/${form}`),
    ...FORMS.map((form) => `/new/${form}`),
  ];
  return Object.fromEntries(addresses.map((address) => [`form-${address.split('/').pop()}`, address]));
}
