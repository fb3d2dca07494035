// Who acts: asked once, kept in this browser, and recorded with every change.
const KEY = 'cutover.actor';
let inMemory = '';

export function actor() {
  try {
    return localStorage.getItem(KEY) ?? inMemory;
  } catch {
    return inMemory; // Storage is blocked.
  }
}

export function setActor(name) {
  inMemory = name.trim();
  try {
    localStorage.setItem(KEY, inMemory);
  } catch { /* It is asked for again after a reload. */ }
  dispatchEvent(new Event('actor'));
}

/** Letters, digits and a few signs: what the history records. */
export const isActor = (name) => /^[A-Za-z0-9._@-]{1,64}$/.test(name.trim());
