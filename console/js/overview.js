// Every migration on one screen, those that need somebody first.
import { html } from './lib.js';
import { useLeft } from './pace.js';
import { useStream, useNow } from './live.js';
import { replace, to } from './route.js';
import { Shares, Tone } from './parts.js';
import { capital, count, latency, many, part, passKind, planStatus, span, state, urgency } from './words.js';

const ORDER = { alarm: 0, waiting: 1, calm: 2 };
const isOver = (row) => ['finished', 'abandoned'].includes(state(row.state));

/** Rolled back, then waiting for somebody, then with lost instances, then on the way, then idle, then over. */
export function rank(row) {
  if (isOver(row)) return 9;
  const tone = ORDER[urgency(row.gist)];
  if (tone < 2) return tone;
  if (row.lost > 0 || row.plan_held) return 2;
  return row.jobs.length || state(row.state) === 'ramping' || planStatus(row.plan) === 'running' ? 3 : 4;
}

const word = (row) => {
  if (isOver(row)) return ['over', capital(state(row.state))];
  const tone = urgency(row.gist);
  if (tone === 'alarm') return ['alarm', 'Rolled back'];
  if (tone === 'waiting') return ['waiting', 'Needs somebody'];
  if (row.lost > 0) return ['waiting', many(row.lost, 'lost instance')];
  return ['calm', capital(row.gist?.standing || state(row.state))];
};

export function useOverview() {
  return useStream('WatchOverview', {}, 'GetOverview');
}

export function Overview({ stream, params }) {
  const now = useNow();
  const { data } = stream;
  if (!data) return html`<h1 tabindex="-1">Migrations</h1><p class="muted">${stream.away ? 'The controller does not answer. Trying again.' : 'Loading.'}</p>`;
  const wanted = (params.find ?? '').toLowerCase();
  const rows = data.rows.filter((row) => row.key.toLowerCase().includes(wanted));
  rows.sort((a, b) => rank(a) - rank(b) || a.key.localeCompare(b.key));
  const need = data.rows.filter((row) => rank(row) <= 2).length;
  return html`<div class="row spread overview-head">
      <h1 tabindex="-1">${many(data.rows.length, 'migration')}${need ? `, ${count(need)} ${need === 1 ? 'needs' : 'need'} somebody` : ''}</h1>
      ${data.rows.length > 6 && html`<div class="row"><label for="find">Find</label>
        <input id="find" type="search" value=${params.find ?? ''} onInput=${(event) => replace(to(null, '', { find: event.target.value }))} /></div>`}
    </div>
    ${data.rows.length === 0 && html`<p class="card">There is no migration yet. Create one: <code>cutover create KEY --source TEXT --target TEXT</code></p>`}
    ${data.rows.length > 0 && rows.length === 0 && html`<p class="card">No key contains "${params.find}".</p>`}
    <ul class="migrations">${rows.map((row) => html`<${Row} key=${row.key} row=${row} now=${data.at_ms || now} />`)}</ul>`;
}

function Row({ row, now }) {
  const [tone, text] = word(row);
  return html`<li class="card migration ${tone}">
    <div class="who"><${Tone} of=${tone}>${text}<//>
      <h2><a href=${to(row.key)}>${row.key}</a></h2>
      <p class="small muted">${row.source} → ${row.target}</p></div>
    <div class="how"><p>${row.gist?.what}</p><${Shares} shares=${row.shares} /><${Legend} row=${row} /></div>
    <dl class="signs">
      <${Sign} name="Plan">${plan(row, now)}<//>
      <${Sign} name="Pass">${pass(row, useLeft(row.jobs[0], now))}<//>
      <${Sign} name="Source">${store(row, 'STORE_ROLE_SOURCE')}<//>
      <${Sign} name="Target">${store(row, 'STORE_ROLE_TARGET')}<//>
      <${Sign} name="Instances">${instances(row)}<//>
      <${Sign} name="Last trip">${trip(row, now)}<//>
    </dl></li>`;
}

const Legend = ({ row }) => html`<ul class="legend" aria-hidden="true">${row.shares.filter((share) => share.ppm > 0).map((share) => {
  const name = share.rung.replace('RUNG_', '').toLowerCase().replace('_', '-');
  return html`<li key=${name}><span class="swatch fill-${name}" />${share.ppm / 10000} % ${name}</li>`;
})}</ul>`;

const Sign = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;

function plan(row, now) {
  const status = planStatus(row.plan);
  if (!status) return 'none';
  const steps = `${row.plan_taken} of ${row.plan_steps}`;
  if (status !== 'running') return `${steps}, ${status}`;
  if (row.plan_held) return html`${steps}, <strong>held</strong>`;
  return row.plan_due_ms > now ? `${steps}, next in ${span(row.plan_due_ms - now)}` : steps;
}

function pass(row, left) {
  const [job] = row.jobs;
  if (!job) return 'none';
  const done = job.segments ? `${Math.floor((job.segments_done * 100) / job.segments)} %` : `${count(job.counts?.scanned)} records`;
  const more = row.jobs.length > 1 ? `, ${row.jobs.length - 1} more` : '';
  return `${passKind(job.kind)} ${done}${left ? `, about ${span(left)} left` : ''}${more}`;
}

function store(row, role) {
  const rates = row.rates.filter((rate) => rate.store === role && rate.calls_per_s > 0);
  if (!rates.length) return 'no calls';
  const sum = (field) => rates.reduce((all, rate) => all + rate[field], 0);
  const slowest = Math.max(...rates.map((rate) => rate.p99_us));
  const failed = sum('errors_per_s') / sum('calls_per_s');
  const errors = `${part(failed, 1)} failed`;
  return html`${failed > 0.01 ? html`<strong>${errors}</strong>` : errors}, p99 ${latency(slowest)}`;
}

const instances = (row) => html`${count(row.instances)}${row.lost > 0 && html`, <strong>${count(row.lost)} lost</strong>`}`;

function trip(row, now) {
  const last = row.last_trip;
  return last ? `${span(now - last.at_ms)} ago, ${last.guard.replaceAll('_', ' ')}` : 'none';
}
