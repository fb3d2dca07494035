// How fast something goes, from what this page has seen of it.
import { useRef } from './lib.js';

const SECONDS_MIN = 3;

/** How fast a value of something has grown since it was first seen, per second; null until that says something. */
export function usePace(value, now, of) {
  const first = useRef(null);
  if (!first.current || first.current.of !== of || value < first.current.value) first.current = { value, now, of };
  const seconds = (now - first.current.now) / 1000;
  return seconds >= SECONDS_MIN ? (value - first.current.value) / seconds : null;
}

/** How long a pass will take at its present pace, in milliseconds; null: unknown. */
export function useLeft(job, now) {
  const perSecond = usePace(job?.segments_done ?? 0, now, job?.id);
  return job && perSecond > 0 ? ((job.segments - job.segments_done) / perSecond) * 1000 : null;
}
