// The picture of a migration: what reads found, and how both stores do, on one time axis.
import { html, useMemo, useState } from './lib.js';
import { Card } from './parts.js';
import { Plot } from './plot.js';
import { RANGES, columns, useSeries } from './series.js';
import { to } from './route.js';
import { capital, count, latency, many, rate, shortTime, time } from './words.js';

const FOUND = [
  ['hit', 'hit', 'found in the target'],
  ['miss', 'miss', 'only in the source, then copied'],
  ['not_found', 'not found', 'in neither store'],
  ['backfill', 'backfill', 'copied by a pass'],
];
const CLASS = { hit: 'hit', miss: 'miss', not_found: 'not-found', backfill: 'backfill' };
const MARKS_TOLD = 3;
/** The scale of reads ends at this many times their maximum. */
const TOP = 3;
/** Reports are this late, at most. */
const LATE_MS = 5000;

export function Charts({ status, range: wanted }) {
  const key = status.migration.key;
  const range = Object.hasOwn(RANGES, wanted ?? '') ? wanted : '10m';
  const { data, error } = useSeries(key, range, status.at_ms);
  const aside = html`<nav class="ranges" aria-label="Range">${Object.entries(RANGES).map(([name, each]) => html`<a key=${name} href=${to(key, 'now', { range: name === '10m' ? '' : name })} aria-current=${name === range ? 'true' : undefined}>${each.name}</a>`)}</nav>`;
  return html`<section class="card charts" aria-labelledby="charts"><header><h2 id="charts">Traffic</h2>${aside}</header>
    ${!data && html`<p class="none">${error ? error.message : 'Loading.'}</p>`}
    ${data && error && html`<p class="small" role="status">Nothing newer than ${time(data.until_ms)}: ${error.message}</p>`}
    ${data && data.points.length === 0 && html`<p class="none">No instance reported anything in this range.</p>`}
    ${data && data.points.length > 0 && html`<${Drawn} key=${range} data=${data} range=${range} keyName=${key} />`}
  </section>`;
}

function Drawn({ data, range, keyName }) {
  const [at, setAt] = useState(null);
  const all = useMemo(() => columns(data), [data]);
  const span = [(data.until_ms - RANGES[range].ms) / 1000, data.until_ms / 1000];
  const shown = at ?? lastWith(all);
  const shownAt = all.t[shown] * 1000;
  const isNow = at === null && data.until_ms - shownAt < 2 * data.width_ms + LATE_MS;
  const when = isNow ? 'now' : at === null ? `nothing reported since ${time(shownAt)}` : time(shownAt);
  const { marks } = data;
  const tall = innerWidth >= 1900;
  // The newest point is still being reported.
  const stacked = useMemo(() => {
    const sum = (names) => all.t.map((_, i) => (all.hit[i] === null ? null : names.reduce((total, name) => total + all[name][i], 0)));
    return [all.t, sum(['hit', 'miss', 'not_found', 'backfill']), sum(['hit', 'miss', 'not_found']), sum(['hit', 'miss']), sum(['hit'])];
  }, [all]);
  const slow = useMemo(() => [all.t, all.source_p50, all.source_p99, all.target_p50, all.target_p99], [all]);
  const bad = useMemo(() => [all.t, all.source_bad, all.target_bad], [all]);
  // A backfill copies far more than anybody reads: the scale ends where reads can still be seen.
  const [most, reads] = [stacked[1], stacked[2]].map((each) => each.reduce((max, it) => Math.max(max, it ?? 0), 0));
  const top = reads > 0 && most > TOP * reads ? TOP * reads : null;
  const value = (name) => all[name][shown];
  const ms = (name) => latency((value(name) ?? 0) * 1000);
  const percent = (number) => (number == null ? 'no calls' : `${number === 0 ? 0 : number < 0.1 ? number.toPrecision(1) : Math.round(number * 10) / 10} %`);
  return html`
    <figure class="chart"><figcaption><ul class="legend">${FOUND.map(([name, text, means]) => html`<li key=${name} title=${means}><span class="swatch ${CLASS[name]}" />${text} <strong>${rate(value(name) ?? 0)}</strong></li>`)}</ul><span class="small muted">${when}</span></figcaption>
      <${Plot} label=${`Reads and copied records per second, stacked. ${capital(when)}: ${FOUND.map(([name, text]) => `${text} ${rate(value(name) ?? 0)}`).join(', ')}`}
        series=${[...FOUND].reverse().map(([name]) => ({ color: `--${CLASS[name]}`, fill: true }))} values=${stacked} span=${span} marks=${marks} top=${top} height=${tall ? 360 : 200} axis=${(it) => (Number.isInteger(it) ? count(it) : it < 1 ? Number(it.toPrecision(2)) : '')} hover=${setAt} />
      <p class="small muted">Reads and copied records, stacked from below: hit, miss, not found, backfill.${top && ` The backfill goes beyond the scale, to ${rate(most)}.`}</p>
      <${Marks} marks=${marks} keyName=${keyName} span=${span} /></figure>
    <div class="side">
      <figure class="chart"><figcaption><ul class="legend"><li><span class="swatch source" />source p50 <strong>${ms('source_p50')}</strong> p99 <strong>${ms('source_p99')}</strong></li><li><span class="swatch target" />target p50 <strong>${ms('target_p50')}</strong> p99 <strong>${ms('target_p99')}</strong></li></ul></figcaption>
        <${Plot} label=${`Latency of both stores. ${capital(when)}: source p50 ${ms('source_p50')}, p99 ${ms('source_p99')}; target p50 ${ms('target_p50')}, p99 ${ms('target_p99')}`} log
          series=${[{ color: '--source', width: 1 }, { color: '--source', dash: [4, 3], width: 1 }, { color: '--target', width: 2.5 }, { color: '--target', dash: [4, 3], width: 2.5 }]} values=${slow} span=${span} marks=${marks} height=${tall ? 240 : 150} axis=${(it) => (it >= 1000 ? `${it / 1000} s` : `${it} ms`)} hover=${setAt} /><p class="small muted">Latency. Thin: source. Thick: target. Solid: p50. Dashed: p99.</p></figure>
      <figure class="chart"><figcaption><ul class="legend"><li><span class="swatch source" />source <strong>${percent(value('source_bad'))}</strong></li><li><span class="swatch target" />target <strong>${percent(value('target_bad'))}</strong></li></ul></figcaption>
        <${Plot} label=${`Failed calls of both stores. ${capital(when)}: source ${percent(value('source_bad'))}, target ${percent(value('target_bad'))}`}
          series=${[{ color: '--source', dash: [4, 3] }, { color: '--target' }]} values=${bad} span=${span} marks=${marks} height=${tall ? 240 : 150} axis=${(it) => `${it} %`} hover=${setAt} /><p class="small muted">Failed calls. Dashed: source. Solid: target.</p></figure>
    </div>`;
}

/** The last point that is complete: the newest second is still being reported. */
function lastWith(all) {
  for (let at = all.t.length - 2; at >= 0; at--) if (all.hit[at] !== null) return at;
  return Math.max(0, all.t.length - 1);
}

/**
 * A ramp's summary begins with all shares, and its last part is what this revision did. That of a trip or rollback begins
 * with itself. Tenants of their own come after everybody else.
 */
function inShort({ kind, summary }) {
  const parts = summary.split('; ');
  const whole = parts.filter((part) => !part.startsWith('tenant '));
  const said = kind === 'trip' || kind === 'rollback' ? whole.slice(0, kind === 'trip' ? 1 : 2) : whole.slice(-1);
  return (said.length ? said.join(': ') : summary).replaceAll('->', '→');
}

function Marks({ marks, keyName, span }) {
  const inside = marks.filter((mark) => mark.at_ms >= span[0] * 1000).sort((a, b) => b.at_ms - a.at_ms);
  if (!inside.length) return null;
  // The last trip is always among them.
  const trip = inside.find((mark) => mark.kind === 'trip');
  const others = inside.filter((mark) => mark !== trip).slice(0, MARKS_TOLD - (trip ? 1 : 0));
  const told = [...others, ...(trip ? [trip] : [])].sort((a, b) => b.at_ms - a.at_ms);
  return html`<ul class="marks">${told.map((mark) => html`<li key=${mark.revision}><a href=${to(keyName, 'history', { r: mark.revision })}>${shortTime(mark.at_ms)}</a> ${inShort(mark)}</li>`)}
    ${inside.length > MARKS_TOLD && html`<li><a href=${to(keyName, 'history')}>${many(inside.length - MARKS_TOLD, 'more mark')}</a></li>`}</ul>`;
}
