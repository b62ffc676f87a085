// What seeds have in common: people, routes, and the way through the stages.

import { api, at } from '../lib/api.mjs';

export const STAGES = ['ready_for_testing', 'opt_in', 'opt_out', 'mandatory'];
export const ENVIRONMENTS = ['dev', 'staging', 'production', 'on-prem'];

/** Everybody's interface, and the steps that more than one seed takes. */
export class House {
  static async of(server) {
    const house = new House();
    house.server = server;
    for (const name of ['otto', 'mia', 'max', 'ada']) {
      house[name] = await api(server, name);
    }
    return house;
  }

  /** A route of the policy `open`, unless it says otherwise. */
  route(key, more = {}) {
    const method = key.split('_').map((word) => word[0].toUpperCase() + word.slice(1)).join('');
    return this.otto.post('routes', {
      endpoint: `gitaly.CommitService/${method}`,
      key,
      operation: 'read',
      owner: 'gitaly',
      policy: 'open',
      ...more,
    });
  }

  /** Promotes until the rollout has the stage; the policy has to be one that lets it. */
  async bring(key, environment, stage, reason = 'tested, and it runs well') {
    const now = await this.otto.get(at(key, environment));
    for (let next = STAGES.indexOf(now.stage) + 1; next <= STAGES.indexOf(stage); next += 1) {
      await this.mia.post(at(key, environment, 'promotions'), { to: STAGES[next], reason });
    }
  }

  /** The stages of dev, staging, production and on-prem, in that order. */
  async stages(key, stages) {
    for (const [number, stage] of stages.entries()) {
      await this.bring(key, ENVIRONMENTS[number], stage);
    }
  }

  /** What acceptance testing has to show. */
  async accept(key, environment, summary = 'p99 of 12 ms, as on the old path') {
    for (const kind of ['performance', 'resources', 'error_rate']) {
      const url = `https://grafana.example.com/d/${environment}`;
      await this.otto.post(at(key, environment, 'evidence'), { kind, verdict: 'pass', summary, url });
    }
  }

  async halt(key, environment, reason) {
    await this.otto.post(at(key, environment, 'halt'), { reason });
  }
}
