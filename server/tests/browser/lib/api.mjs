// The REST interface, as one person uses it. What is not answered as it should be is an error.

/** The interface of `server` for the person `name`. */
export async function api(server, name) {
  return new Api(server, { authorization: `Bearer ${await server.token(name)}` });
}

class Api {
  #server;
  #headers;

  constructor(server, headers) {
    this.#server = server;
    this.#headers = headers;
  }

  get(path) {
    return this.#ask('GET', path);
  }

  post(path, body = {}) {
    return this.#ask('POST', path, body);
  }

  put(path, body) {
    return this.#ask('PUT', path, body);
  }

  patch(path, body) {
    return this.#ask('PATCH', path, body);
  }

  /** Markdown, with the reason in the address. */
  putText(path, text, reason) {
    return this.#ask('PUT', `${path}?reason=${encodeURIComponent(reason)}`, text, 'text/markdown');
  }

  /** The interface for SDKs of an environment, with a key made for it. */
  async sdk(environment, name = 'browser tests') {
    const made = await this.post('sdk-keys', { environment, name });
    return new Api(this.#server, { authorization: `Bearer ${made.key}` });
  }

  async #ask(method, path, body, type = 'application/json') {
    const url = path.startsWith('/') ? this.#server.url + path : `${this.#server.url}/api/v1/${path}`;
    const headers = { accept: 'application/json', ...this.#headers };
    if (body !== undefined) {
      headers['content-type'] = type;
    }
    const sent = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
    const reply = await fetch(url, { method, headers, body: sent });
    const text = await reply.text();
    if (!reply.ok) {
      throw new Error(`${method} ${path} ${sent ?? ''}: ${reply.status} ${text}`);
    }
    return text && reply.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text;
  }
}

/** The address of a rollout, or of something about it. */
export function at(route, environment, what = '') {
  return `routes/${route}/environments/${environment}/${what}`.replace(/\/$/, '');
}
