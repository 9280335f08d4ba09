// The one way to the service: keys, problems in words, and whether it answers at all.

/** What the service refused, in its own words. */
export class Problem extends Error {
  constructor(status, detail, retrySeconds) {
    super(detail);
    this.status = status;
    this.retrySeconds = retrySeconds;
  }
}

/** No answer: the service is gone, or the network. */
export class Gone extends Error {}

const hooks = { key: async () => null, gone: async () => {} };
const keys = { data: stored("data"), admin: stored("admin") };

/** `key(role, why)` asks the person for a key, null where none is given; `gone()` ends when the service is back. */
export function onTrouble(handlers) {
  Object.assign(hooks, handlers);
}

function stored(role) {
  try {
    return sessionStorage.getItem(`haste-${role}-key`) ?? "";
  } catch {
    return "";
  }
}

/** Keep a key for this tab. */
export function keep(role, key) {
  keys[role] = key;
  try {
    sessionStorage.setItem(`haste-${role}-key`, key);
  } catch {
    // a browser without storage keeps it in memory
  }
}

function headersFor(role, type) {
  const key = role === "admin" ? keys.admin || keys.data : keys.data || keys.admin;
  return { ...(key && { Authorization: `Bearer ${key}` }), ...(type && { "Content-Type": type }) };
}

async function send(path, { method = "GET", body, type, role = "data", signal }) {
  try {
    return await fetch(path, { method, body, signal, headers: headersFor(role, type), cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Gone("the service does not answer");
  }
}

async function problemOf(answer) {
  const told = await answer.json().catch(() => ({}));
  const seconds = Number(answer.headers.get("Retry-After")) || null;
  return new Problem(answer.status, told.detail ?? `the service answered ${answer.status}`, seconds);
}

/** Ask once. A 401 asks the person for a key and tries again, unless `quiet`. Problem or Gone where it fails. */
export async function ask(path, options = {}) {
  const { role = "data", quiet = false, text = false } = options;
  for (;;) {
    const answer = await send(path, options);
    if (answer.ok) return text ? answer.text() : answer.json();
    const problem = await problemOf(answer);
    if (quiet || answer.status !== 401) throw problem;
    const key = await hooks.key(role, problem.message);
    if (!key) throw problem;
    keep(role, key);
  }
}

let tail = Promise.resolve();

/** One request that computes at a time: the box may have two cores. */
export function inTurn(work) {
  const mine = tail.then(work);
  tail = mine.catch(() => {});
  return mine;
}

/** Wait; rejects with AbortError where the signal says so first. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("replaced", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Ask until it is answered: through 429 and 503 after the time that they name, and through a service that is gone. */
export async function askPatiently(path, options, say) {
  for (;;) {
    try {
      return await inTurn(() => {
        options.signal?.throwIfAborted();
        return ask(path, options);
      });
    } catch (error) {
      if (error instanceof Gone) await hooks.gone();
      else if ((error.status === 429 || error.status === 503) && error.retrySeconds) {
        say(`The service is busy: ${error.message}. Trying again in ${error.retrySeconds} s.`);
        await pause(error.retrySeconds * 1000, options.signal);
      } else throw error;
      options.signal?.throwIfAborted();
    }
  }
}

/** Work of which only the newest counts: what was begun before is given up. */
export class Newest {
  #current = new AbortController();

  async begin(delay, work) {
    this.#current.abort();
    const current = (this.#current = new AbortController());
    try {
      await pause(delay, current.signal);
      await work(current.signal);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  }
}
