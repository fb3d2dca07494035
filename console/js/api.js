// The controller's JSON API: docs/api.md. Reads by GET, changes by POST, live data as server-sent events.

// The stream is taken for dead if nothing arrives for this long; the controller sends every second.
const SILENCE_MS = 5000;
const RETRY_MS = 1000;
const ANSWER_MS = 10000;

// Only these say that nothing was changed.
const NOT_MADE = ['INVALID_ARGUMENT', 'FAILED_PRECONDITION', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'UNAUTHENTICATED', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED'];

/** An answer other than 200: what was refused and why. */
export class Refused extends Error {
  constructor(code, message, refusals) {
    super(message);
    this.code = code;
    this.refusals = refusals;
  }

  /** Whether what was asked for may have happened all the same. */
  get isUnknown() {
    return !NOT_MADE.includes(this.code);
  }
}

async function ask(method, url, init) {
  let response;
  try {
    response = await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_MS) });
  } catch {
    throw new Refused('UNAVAILABLE', 'The controller does not answer.', []);
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Refused(body.code ?? String(response.status), body.message ?? `${method} failed: HTTP ${response.status}`, body.refusals ?? []);
  }
  return body;
}

const address = (method, params) => `/api/v1/${method}?${new URLSearchParams(params)}`;

export const get = (method, params = {}) => ask(method, address(method, params));

export const post = (method, body) =>
  ask(method, `/api/v1/${method}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

/** An id for a change, so that a retry is not a second change. */
export const requestId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/**
 * Follows a stream, through restarts of the controller, until the returned function is called. `hear` gets each
 * message; `lose` is called when the stream breaks.
 */
export function follow(method, params, hear, lose) {
  let source, timer, over = false;
  const again = () => {
    source?.close();
    clearTimeout(timer);
    if (over) return;
    timer = setTimeout(open, RETRY_MS);
    lose();
  };
  const watchdog = () => {
    clearTimeout(timer);
    timer = setTimeout(again, SILENCE_MS);
  };
  function open() {
    source = new EventSource(address(method, params));
    watchdog();
    source.onmessage = (event) => {
      watchdog();
      hear(JSON.parse(event.data));
    };
    source.onerror = again;
  }
  open();
  return () => {
    over = true;
    clearTimeout(timer);
    source?.close();
  };
}
