// The token of this tab. It is neither in a cookie nor in an address, and forgotten when the tab is closed.
const KEY = 'cutover.token';
let inMemory = '';

export function token() {
  try {
    return sessionStorage.getItem(KEY) ?? inMemory;
  } catch {
    return inMemory; // Storage is blocked.
  }
}

export function setToken(text) {
  inMemory = text.trim();
  try {
    if (inMemory) sessionStorage.setItem(KEY, inMemory);
    else sessionStorage.removeItem(KEY);
  } catch { /* It is asked for again after a reload. */ }
  dispatchEvent(new Event('token'));
}

/** The header that shows it. */
export const authorization = () => (token() ? { authorization: `Bearer ${token()}` } : {});

/** The controller does not accept a request without a token, or this one. */
export const refuseToken = (message) => dispatchEvent(new CustomEvent('unauthenticated', { detail: message }));

/** What a header can carry: other characters are in no token. */
export const isToken = (text) => /^[!-~]+$/.test(text.trim());
