// How values are written.

export const RUNGS = ['source-only', 'dual', 'mirrored', 'hold', 'target-first', 'target-only'];

/** What reads and writes do at each rung. */
export const DOES = {
  'source-only': 'reads and writes the source',
  dual: 'reads the source; writes the source, then the target',
  mirrored: 'reads the source; writes the source, then the target, and succeeds only if both do',
  hold: 'waits briefly for the next revision',
  'target-first': 'reads the target, else the source; writes both',
  'target-only': 'reads and writes the target',
};

const plain = (prefix) => (name) => name ? name.replace(prefix, '').toLowerCase().replaceAll('_', '-') : '';

/** RUNG_TARGET_FIRST is target-first; unspecified is empty. */
export const rung = (name) => (name === 'RUNG_UNSPECIFIED' ? '' : plain('RUNG_')(name));
export const state = plain('STATE_');
export const planStatus = (name) => (name === 'PLAN_STATUS_UNSPECIFIED' ? '' : plain('PLAN_STATUS_')(name));
export const passKind = plain('PASS_KIND_');
export const operation = (name) => (name === 'OPERATION_UNSPECIFIED' ? '' : plain('OPERATION_')(name));
export const reason = plain('REASON_');
export const mode = plain('GUARD_MODE_');
export const urgency = (gist) => plain('URGENCY_')(gist?.urgency) || 'calm';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
export const count = (number) => whole.format(number ?? 0);
export const many = (number, one, several = `${one}s`) => `${count(number)} ${number === 1 ? one : several}`;

/** A share in ppm; more than nobody is never 0 %, and less than everybody never 100 %. */
export const percent = (ppm) => `${ppm / 10000} %`;
// A share in percent with two digits, rounded up.
export const percentUp = (share) => {
  const part = share * 100;
  const digits = Math.min(9, Math.max(0, 1 - Math.floor(Math.log10(part))));
  return Math.min(100, Math.ceil(part * 10 ** digits) / 10 ** digits).toFixed(digits);
};

/** Whom a condition is about: a range of buckets as a share of the tenants, as the command line says it. */
export function whom(text = '') {
  const range = /^([\d.]+)-([\d.]+) %$/.exec(text);
  if (!range) return text;
  const [from, upto] = range.slice(1).map(Number);
  return from === 0 ? `${upto} % of the tenants` : `${Number((upto - from).toFixed(4))} % of the tenants (buckets ${text})`;
}

/** Whom and which step a condition is about. */
export const subject = (of) => [whom(of.whom), of.step].filter(Boolean).join(', ');

/** A part of a whole in percent, to two figures below 1 %. */
export const part = (some, all) => {
  if (!all) return '0 %';
  const value = (some / all) * 100;
  return `${value === 0 ? 0 : value < 1 ? value.toPrecision(2).replace(/\.?0+$/, '') : Math.round(value * 10) / 10} %`;
};

export const rate = (perSecond) => `${perSecond >= 10 ? count(perSecond) : Math.round(perSecond * 10) / 10}/s`;

/** Microseconds as milliseconds or seconds. */
export const latency = (us) => {
  if (!us) return '–';
  const ms = us / 1000;
  if (ms >= 10000) return `${Math.round(ms / 1000)} s`;
  return `${ms >= 100 ? Math.round(ms) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
};

/** 40 s, 12 min, 3 h, 5 d: as the command line says it. */
export const span = (ms) => {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
};

/** The first letter in upper case. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const two = (number) => String(number).padStart(2, '0');
const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

/** Local time. */
export const time = (ms) => `${day(new Date(ms))} ${clock(new Date(ms))}`;
export const shortTime = (ms) => (day(new Date(ms)) === day(new Date()) ? clock(new Date(ms)) : time(ms));
export const bytes = (number) => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  for (; number >= 1024 && at < units.length - 1; at++) number /= 1024;
  return `${at ? number.toFixed(1) : number} ${units[at]}`;
};
