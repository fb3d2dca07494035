// Live data in components: the newest message of a stream, and how old it is.
import { useEffect, useState } from './lib.js';
import { follow, get } from './api.js';

const NOTHING = { data: null, at: 0, away: false, missing: null };
/** Codes of a request that the controller will not answer later either. */
const REFUSED = ['NOT_FOUND', 'INVALID_ARGUMENT', 'PERMISSION_DENIED'];

/**
 * The newest message of a stream. `away`: the stream is broken and is being opened again. `missing`: the controller
 * answers, but refuses this request; it is not asked again. `read` is the same as a single read, to tell the two apart.
 */
export function useStream(method, params, read) {
  const [state, setState] = useState(NOTHING);
  const key = JSON.stringify(params);
  useEffect(() => {
    setState(NOTHING);
    let over = false;
    let stop = null;
    const start = () => follow(
      method,
      params,
      (data) => setState({ data, at: Date.now(), away: false, missing: null }),
      () => {
        setState((old) => ({ ...old, away: true }));
        get(read, params).then(
          // It answers, although it opens no stream: too many people look.
          (data) => over || setState({ data, at: Date.now(), away: false, missing: null }),
          (error) => {
            if (over || !REFUSED.includes(error.code)) return;
            stop?.();
            setState((old) => ({ ...old, away: false, missing: error.message }));
          },
        );
      },
    );
    // A browser has six connections to a server for all its tabs: those that nobody sees must not take them up.
    const shown = () => {
      stop?.();
      stop = document.hidden ? null : start();
    };
    document.addEventListener('visibilitychange', shown);
    shown();
    return () => {
      over = true;
      document.removeEventListener('visibilitychange', shown);
      stop?.();
    };
  }, [method, key]);
  return state;
}

/** The time, updated every second. */
export function useNow() {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** A read that is repeated when `deps` change: `{ data, error, busy }`. */
export function useRead(method, params, deps = []) {
  const [state, setState] = useState({ data: null, error: null, busy: true });
  useEffect(() => {
    let over = false;
    setState((old) => ({ ...old, busy: true }));
    get(method, params).then(
      (data) => over || setState({ data, error: null, busy: false }),
      (error) => over || setState({ data: null, error, busy: false }),
    );
    return () => { over = true; };
  }, [method, JSON.stringify(params), ...deps]);
  return state;
}
