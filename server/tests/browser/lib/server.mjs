// A server of the real program on a directory and a clock of its own, and tokens for its people.

import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Who there is, by role. */
export const PEOPLE = {
  vera: 'viewer',
  otto: 'operator',
  mia: 'maintainer',
  max: 'maintainer',
  ada: 'admin',
};

/** Starts `program`; its clock is the machine's until it is moved. */
export async function startServer(program) {
  // Commits wait for the disk, where there is one.
  const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const work = await mkdtemp(join(memory, 'switchover-browser-'));
  const server = new Server(program, work);
  try {
    await server.start();
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

class Server {
  #program;
  #work;
  #child = null;
  #ahead = 0;
  #said = '';
  #tokens = new Map();

  constructor(program, work) {
    this.#program = program;
    this.#work = work;
  }

  async start() {
    await this.#writeClock();
    const serve = ['serve', '--listen', '127.0.0.1:0', '--clock-file', this.#clockFile()];
    this.#child = spawn(this.#program, serve, { env: this.#env(), stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stderr.on('data', (bytes) => {
      this.#said = (this.#said + bytes).slice(-4_000);
    });
    const gone = new Promise((_, refuse) => {
      this.#child.once('error', refuse);
      this.#child.once('exit', () => refuse(new Error(`the server has not started: ${this.#said}`)));
    });
    // Nobody waits for it any more once the server is ready.
    gone.catch(() => {});
    this.url = await Promise.race([gone, this.#address()]);
  }

  async #address() {
    let url = '';
    for await (const line of createInterface({ input: this.#child.stdout })) {
      if (line.startsWith('page ')) {
        url = line.slice('page '.length).trim().replace(/\/$/, '');
      }
      if (line === 'ready') {
        break;
      }
    }
    // It goes on writing; nobody reads it.
    this.#child.stdout.resume();
    return url;
  }

  /** A token of one of the PEOPLE; one of a length of its own is made anew. */
  async token(name, ttl = '8h') {
    const kept = `${name} ${ttl}`;
    if (!this.#tokens.has(kept)) {
      const words = ['token', 'create', '--role', PEOPLE[name], '--subject', `${name}@example.com`, '--ttl', ttl];
      const { stdout } = await run(this.#program, words, { env: this.#env() });
      this.#tokens.set(kept, stdout.trim());
    }
    return this.#tokens.get(kept);
  }

  /** The server's time. */
  now() {
    return new Date(Date.now() + this.#ahead * 1_000);
  }

  /** Lets hours pass for the server. */
  async hoursPass(hours) {
    this.#ahead += Math.round(hours * 3_600);
    await this.#writeClock();
  }

  async stop() {
    if (this.#child && this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise((done) => this.#child.once('exit', done));
      this.#child.kill('SIGKILL');
      await ended;
    }
    await rm(this.#work, { recursive: true, force: true });
  }

  #clockFile() {
    return join(this.#work, 'clock');
  }

  async #writeClock() {
    // In one piece: the server may look at any moment.
    const file = this.#clockFile();
    await writeFile(`${file}.new`, `${this.#ahead}\n`);
    await rename(`${file}.new`, file);
  }

  #env() {
    // What is set for another server has no say here.
    const mine = Object.entries(process.env).filter(([name]) => !name.startsWith('SWITCHOVER_'));
    return { ...Object.fromEntries(mine), SWITCHOVER_DATA_DIR: join(this.#work, 'data') };
  }
}
