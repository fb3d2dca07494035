// The controller's JSON API: docs/api.md. Reads by GET, changes by POST, live data as server-sent events.
import { authorization, refuseToken } from './token.js';

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
    const headers = { ...init?.headers, ...authorization() };
    response = await fetch(url, { ...init, headers, signal: AbortSignal.timeout(ANSWER_MS) });
  } catch {
    throw new Refused('UNAVAILABLE', 'The controller does not answer.', []);
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    if (response.status === 401) refuseToken(body.message);
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

/** The messages of server-sent events. EventSource can't show a token. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (text + value).split('\n\n');
    text = events.pop();
    for (const event of events) {
      const lines = event.split('\n');
      if (lines.includes('event: error')) return;
      const data = lines.filter((line) => line.startsWith('data:')).map((line) => line.slice(5));
      if (data.length > 0) yield data.join('\n');
    }
  }
}

/**
 * Follows a stream, through restarts of the controller, until the returned function is called. `hear` gets each
 * message; `lose` is called when the stream breaks.
 */
export function follow(method, params, hear, lose) {
  let opened, timer, over = false;
  const close = () => {
    clearTimeout(timer);
    const last = opened;
    opened = null;
    last?.abort();
  };
  const again = () => {
    close();
    if (over) return;
    timer = setTimeout(open, RETRY_MS);
    lose();
  };
  const watchdog = () => {
    clearTimeout(timer);
    timer = setTimeout(again, SILENCE_MS);
  };
  async function open() {
    const mine = new AbortController();
    opened = mine;
    watchdog();
    try {
      const headers = { accept: 'text/event-stream', ...authorization() };
      const response = await fetch(address(method, params), { headers, signal: mine.signal });
      if (response.ok) {
        for await (const data of messages(response.body)) {
          if (opened !== mine) return;
          watchdog();
          hear(JSON.parse(data));
        }
      }
    } catch { /* The connection broke, or was closed here. */ }
    if (opened === mine) again();
  }
  open();
  return () => {
    over = true;
    close();
  };
}
