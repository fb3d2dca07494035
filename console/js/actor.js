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

const bytes = new TextEncoder();
// The controller takes 128 bytes with the prefix.
const BYTES_MAX = 100;

/** Anything that the controller takes, and is not empty. */
export const isActor = (name) => name.trim() !== '' && bytes.encode(name.trim()).length <= BYTES_MAX;
