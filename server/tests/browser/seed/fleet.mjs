// Processes that report what they count, as the SDK does.

/** A latency's bucket on the wire: 32 to each power of two nanoseconds. */
function bucket(milliseconds) {
  const nanoseconds = milliseconds * 1e6;
  const octave = Math.floor(Math.log2(nanoseconds)) - 5;
  return octave * 32 + Math.floor(nanoseconds / 2 ** octave);
}

/** Calls of one path: the slowest take so many milliseconds, most a quarter of that. */
export function counted(route, path, calls, { errors = 0, slowest = 20, role = 'authoritative', ...more } = {}) {
  const quick = Math.floor(calls * 0.7);
  const tail = Math.ceil(calls / 50);
  const latency = new Map();
  for (const [milliseconds, count] of [[slowest / 4, quick], [slowest / 2, calls - quick - tail], [slowest, tail]]) {
    if (count > 0) {
      latency.set(bucket(milliseconds), (latency.get(bucket(milliseconds)) ?? 0) + count);
    }
  }
  const ascending = [...latency].sort(([a], [b]) => a - b);
  // By the limit of a guard on the slowest.
  const slow = [{ limit_ms: 500, trials: calls, violations: slowest > 500 ? tail : 0 }];
  return { route, path, role, calls, errors, latency: ascending, slow, ...more };
}

/** Processes of one application in one environment, over the interface for SDKs. */
export class Fleet {
  #sdk;
  #names;
  #sequence = 0;

  constructor(sdk, names, application = 'web') {
    this.#sdk = sdk;
    this.#names = names;
    this.application = application;
  }

  /** Each process reports these rows, counted `age` seconds ago over `interval` seconds. */
  async report(rows, { routes, age = 0, interval = 10, versions = [] } = {}) {
    const { version } = await this.#sdk.get('/sdk/v1/snapshot');
    const revision = Number(version.split('.').pop());
    this.#sequence += 1;
    await Promise.all(
      this.#names.map((name, number) =>
        this.#sdk.post('/sdk/v1/telemetry', {
          sequence: this.#sequence,
          age_ms: age * 1_000,
          interval_ms: interval * 1_000,
          instance: {
            id: `${this.application}-${number}`,
            name,
            application: this.application,
            version: versions[number] ?? '17.5.0',
            sdk: 'rust/0.1.0',
            snapshot: version,
            source: 'live',
            uptime_ms: 86_400_000 * (number + 1),
            cpu_ms: 60_000 * (number + 1),
            memory_bytes: 180_000_000 + 7_000_000 * number,
          },
          routes: typeof routes === 'function' ? routes(number) : routes,
          counts: rows.map((row) => ({ revision, ...row })),
        }),
      ),
    );
  }

  /** The last hour, as the function says for each of its steps: how far along it is, from 0 to 1. */
  async lastHour(rows) {
    const minutes = Array.from({ length: 60 }, (_, minute) => minute);
    await Promise.all(
      minutes.map((minute) => this.report(rows(1 - minute / 59), { age: minute * 60, interval: 60 })),
    );
  }
}
