// What instances reported over time, as columns for charts.
import { useEffect, useRef, useState } from './lib.js';
import { get } from './api.js';

const MINUTE = 60000;

export const RANGES = {
  '10m': { name: '10 min', ms: 10 * MINUTE, points: 600, every: 1000 },
  '1h': { name: '1 h', ms: 60 * MINUTE, points: 240, every: 10000 },
  '24h': { name: '24 h', ms: 1440 * MINUTE, points: 288, every: MINUTE },
  '7d': { name: '7 d', ms: 7 * 1440 * MINUTE, points: 336, every: 5 * MINUTE },
  '90d': { name: '90 d', ms: 90 * 1440 * MINUTE, points: 360, every: 5 * MINUTE },
};

// Of a range that is read every second, only the last seconds are read again: late reports change them.
const TAIL_MS = 15000;

/** What was reported in a range, read again and again while the page is visible. `at_ms`: the controller's time. */
export function useSeries(key, range, at_ms) {
  // The controller's clock: this machine's may be minutes off.
  const ahead = useRef(0);
  useEffect(() => { ahead.current = at_ms - Date.now(); }, [at_ms]);
  const [series, setSeries] = useState({ range, data: null, error: null });
  useEffect(() => {
    const { ms, points, every } = RANGES[range];
    let over = false, timer, held = null;
    const read = async () => {
      const now = Date.now() + ahead.current;
      const tail = held?.width_ms === 1000 && held.until_ms > now - ms / 2;
      const since = Math.floor(tail ? held.until_ms - TAIL_MS : now - ms);
      try {
        const answer = await get('GetSeries', { key, since_ms: since, points: tail ? Math.ceil((now - since) / 1000) : points });
        const kept = tail && answer.width_ms === held.width_ms ? held.points : [];
        const first = answer.points[0]?.at_ms ?? Math.min(since, now);
        const known = new Set(answer.marks.map((mark) => mark.revision));
        const marks = kept.length ? held.marks.filter((mark) => mark.at_ms >= now - ms && !known.has(mark.revision)) : [];
        held = {
          width_ms: answer.width_ms,
          until_ms: now,
          points: [...kept.filter((point) => point.at_ms >= now - ms && point.at_ms < first), ...answer.points],
          marks: [...marks, ...answer.marks],
        };
        if (!over) setSeries({ range, data: held, error: null });
      } catch (error) {
        if (!over) setSeries((old) => ({ ...old, error }));
      }
    };
    const loop = async () => {
      if (!document.hidden) await read();
      if (!over) timer = setTimeout(loop, every);
    };
    loop();
    return () => { over = true; clearTimeout(timer); };
  }, [key, range]);
  return series.range === range ? series : { range, data: null, error: null };
}

const store = (point, role) => point.stores.find((each) => each.store === role) ?? { calls: 0, errors: 0, p50_us: 0, p99_us: 0 };

/** Columns by name, times in seconds. A time without reports is a gap. */
export function columns({ points, width_ms }) {
  const names = ['t', 'hit', 'miss', 'not_found', 'backfill', 'source_p50', 'source_p99', 'target_p50', 'target_p99', 'source_bad', 'target_bad'];
  const out = Object.fromEntries(names.map((name) => [name, []]));
  const push = (t, values) => names.forEach((name) => out[name].push(name === 't' ? t : values?.[name] ?? null));
  const seconds = width_ms / 1000;
  let last = null;
  for (const point of points) {
    if (last !== null && point.at_ms - last > width_ms * 2.5) push((last + width_ms) / 1000, null);
    last = point.at_ms;
    const [source, target] = [store(point, 'STORE_ROLE_SOURCE'), store(point, 'STORE_ROLE_TARGET')];
    const bad = (of) => (of.calls ? (of.errors / of.calls) * 100 : null);
    push(point.at_ms / 1000, {
      hit: point.hit / seconds, miss: point.miss / seconds, not_found: point.not_found / seconds, backfill: point.backfill / seconds,
      source_p50: source.p50_us / 1000 || null, source_p99: source.p99_us / 1000 || null,
      target_p50: target.p50_us / 1000 || null, target_p99: target.p99_us / 1000 || null,
      source_bad: bad(source), target_bad: bad(target),
    });
  }
  return out;
}
