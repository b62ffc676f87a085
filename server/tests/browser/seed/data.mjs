// Routes whose data moves from one store to another.

import { readFile } from 'node:fs/promises';
import { at } from '../lib/api.mjs';

const PLAN = await readFile(new URL('../../fixtures/plans/gear-operations-migration.md', import.meta.url), 'utf8');
const WRITER = 'gear-0';

/** One route in the middle of its backfill, with repairs, and one that is done with it. */
export async function moved(house) {
  for (const key of ['save_gear', 'save_inspection']) {
    await house.route(key, {
      endpoint: `gear.GearService/${key === 'save_gear' ? 'SaveGear' : 'SaveInspection'}`,
      operation: 'write',
      owner: 'gear-operations',
      policy: 'data_migration',
      description: 'Moves rows of equipment into a store of their own.',
    });
  }
  await house.mia.putText('routes/save_gear/plan', PLAN, 'how it goes');
  const sdk = await house.ada.sdk('dev', 'gear');
  for (const route of ['save_gear', 'save_inspection']) {
    await house.mia.put(at(route, 'dev', 'mirror'), { read_percent: 0, write_percent: 100, reason: 'double writing' });
    const { id } = await sdk.post('/sdk/v1/backfills', { instance: WRITER, route, batch: 1_000, total: 10_000 });
    const done = route === 'save_inspection' ? 10 : 6;
    for (let batch = 1; batch <= done; batch += 1) {
      await house.server.hoursPass(0.01);
      const failed = batch === 3 && route === 'save_gear' ? ['item-2871'] : [];
      const complete = batch === 10;
      const progress = { instance: WRITER, cursor: `item-${batch}000`, keys: 1_000, copied: 998, failed, complete };
      await sdk.post(`/sdk/v1/backfills/${id}`, progress);
    }
  }
  await writes(sdk);
  await compared(house, sdk);
}

async function writes(sdk) {
  const repair = (key, state, attempts) => ({
    key,
    written: 'old',
    generation: 1,
    cause: 'failed',
    state,
    attempts,
    failed_at: 'save_new',
    age_ms: 95_000,
  });
  await sdk.post('/sdk/v1/writers', {
    instance: WRITER,
    name: 'gear-0:4711',
    routes: [
      { route: 'save_gear', open_repairs: 2, repairs: [repair('item-17', 'open', 3), repair('item-4242', 'failed', 20)] },
      { route: 'save_inspection' },
    ],
  });
}

/** Long enough after the last batch, all rows are the same. */
async function compared(house, sdk) {
  await house.server.hoursPass(0.01);
  await sdk.post('/sdk/v1/consistency', {
    instance: WRITER,
    route: 'save_inspection',
    kind: 'checksum',
    generation: 1,
    duration_ms: 1_000,
    compared: 10_000,
    differing: 0,
  });
}
