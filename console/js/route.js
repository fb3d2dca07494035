// Addresses: #/ is the overview, #/m/KEY/VIEW?.. a migration. Everything that a reader chooses is in the address.
import { useEffect, useState } from './lib.js';

const VIEWS = ['now', 'history', 'tenants'];

export function parse(hash) {
  const [path, query = ''] = hash.replace(/^#/, '').split('?');
  const [kind, key, view] = path.split('/').filter(Boolean);
  const params = Object.fromEntries(new URLSearchParams(query));
  if (kind !== 'm' || !key) return { key: null, view: 'overview', params };
  return { key: decoded(key), view: VIEWS.includes(view) ? view : 'now', params };
}

/** A text that is not encoded properly, such as `%`, is taken as it is: then there is no such migration. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const query = (params) => {
  const given = Object.entries(params).filter(([, value]) => value !== '' && value != null);
  return given.length ? `?${new URLSearchParams(given)}` : '';
};

export const to = (key, view = 'now', params = {}) =>
  key ? `#/m/${encodeURIComponent(key)}${view === 'now' ? '' : `/${view}`}${query(params)}` : `#/${query(params)}`;

/** Goes to an address without a further entry in the browser's history. */
export function replace(hash) {
  if (location.hash !== hash) {
    history.replaceState(null, '', hash);
    dispatchEvent(new HashChangeEvent('hashchange'));
  }
}

export function useRoute() {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return parse(hash);
}
