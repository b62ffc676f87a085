// A thousand routes, in every stage.

import { House, STAGES } from './house.mjs';

export const MANY = 1_000;

export async function seedMany(server) {
  const house = await House.of(server);
  const owners = ['source-code', 'create', 'storage', 'search', 'wiki'];
  const routes = Array.from({ length: MANY }, (_, number) => ({
    endpoint: `gitaly.Service${number % 20}/DoTheThing${number}`,
    key: `do_the_thing_${String(number).padStart(4, '0')}`,
    operation: ['read', 'write', 'call'][number % 3],
    owner: owners[number % owners.length],
    policy: 'open',
  }));
  await house.ada.post('routes:import', routes);
  for (let number = 0; number < 60; number += 1) {
    await house.bring(routes[number * 7].key, 'dev', STAGES[number % 4]);
  }
}
