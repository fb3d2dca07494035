// Passes: those under way with their pace, and the last ones with what they found.
import { html, useState } from './lib.js';
import { useLeft, usePace } from './pace.js';
import { Card, Said, Tone } from './parts.js';
import { bytes, count, many, passKind, percent, percentUp, rate, span, time } from './words.js';
import { limits, tunePass } from './actions.js';

export function Passes({ status, act }) {
  const ended = [...status.migration.evidence].reverse();
  return html`<${Card} title="Passes" id="passes">
    ${status.jobs.length + ended.length === 0 && html`<p class="none">None yet. A full pass copies the records that nobody touches: <${Said} text="cutover backfill SPEC" /></p>`}
    <div class="notes">${status.jobs.map((job) => html`<${Running} key=${job.id} job=${job} now=${status.at_ms} act=${act} />`)}</div>
    ${ended.length > 0 && html`<div class=${status.jobs.length ? 'below' : ''}><h3>${status.jobs.length ? 'Ended' : 'The last ones'}</h3>
      <ul class="notes">${ended.slice(0, 4).map((evidence) => html`<li key=${evidence.job} class="note ${evidence.clean ? 'calm' : ''}"><${Ended} evidence=${evidence} /></li>`)}</ul></div>`}
  <//>`;
}

const whom = (of) => [of.upto_ppm ? (of.upto_ppm >= 1000000 ? 'everybody' : `the first ${percent(of.upto_ppm)}`) : '', of.tenants.length ? many(of.tenants.length, 'tenant') : ''].filter(Boolean).join(' and ');

function Running({ job, now, act }) {
  const counts = job.counts ?? {};
  const [records, left] = [usePace(counts.scanned ?? 0, now, job.id), useLeft(job, now)];
  const workers = new Set(job.claims.map((claim) => claim.instance_id)).size;
  const notes = [...new Set(job.claims.map((claim) => claim.note).filter(Boolean))];
  const done = job.segments ? (job.segments_done / job.segments) * 100 : 0;
  const tuning = job.tuning ?? { paused: false, records_per_s: 0, bytes_per_s: 0 };
  return html`<div class="note calm">
    <div class="row spread full"><strong>${passKind(job.kind)} pass of ${whom(job) || 'everybody'}</strong><span class="small muted">${job.segments_done} of ${job.segments} segments${left !== null ? `, about ${span(left)} left` : ''}</span></div>
    <div class="gauge full" role="progressbar" aria-label="Segments done" aria-valuenow=${Math.round(done)} aria-valuemin="0" aria-valuemax="100"><span class="calm" style=${{ width: `${done}%` }} /></div>
    <span>${count(counts.scanned)} records scanned${counts.checked ? `, ${count(counts.checked)} of the target checked` : ''}${records !== null ? `, ${rate(records)}` : ''}, ${count(counts.copied)} copied, ${bytes(counts.bytes ?? 0)}</span>
    <span class="small muted">${tuning.paused ? 'Paused' : job.waiting || (workers ? many(workers, 'worker') : 'No worker: run it again to continue')}; ${limits(tuning)}</span>
    ${notes.map((note) => html`<span class="small" key=${note}>Slow because: ${note}</span>`)}
    ${counts.quarantined + counts.failed > 0 && html`<span class="small">${count(counts.quarantined)} quarantined, ${count(counts.failed)} failed</span>`}
    ${job.warning && html`<span class="small"><${Tone} of="waiting">No gate will accept it: ${job.warning}<//></span>`}
    <${Tune} job=${job} tuning=${tuning} act=${act} /></div>`;
}

function Tune({ job, tuning, act }) {
  // What is set, until something else is typed.
  const [typed, setTyped] = useState(null);
  const limit = typed ?? String(tuning.records_per_s || '');
  const valid = /^\d*$/.test(limit);
  return html`<form class="row end" onSubmit=${(event) => { event.preventDefault(); if (!valid) return; act(tunePass(job.id, { records_per_s: Number(limit) })); setTyped(null); }}>
    <button type="button" class="small" onClick=${() => act(tunePass(job.id, { paused: !tuning.paused }))}>${tuning.paused ? 'Continue' : 'Pause'}</button>
    <label class="row small">At most <input type="text" inputmode="numeric" size="7" value=${limit} onInput=${(event) => setTyped(event.target.value)} aria-invalid=${!valid} /> records/s</label>
    <button class="small" disabled=${!valid}>Limit</button></form>`;
}

const KINDS = ['missing', 'stale', 'ahead', 'extra', 'different'];
const differences = (found) => KINDS.filter((name) => found?.[name] > 0).map((name) => `${count(found[name])} ${name}`).join(', ');

function Ended({ evidence }) {
  const counts = evidence.counts ?? {};
  const [found, left] = [differences(counts.found), differences(counts.remaining)];
  return html`<div class="row spread full"><strong>${passKind(evidence.kind)} pass of ${whom(evidence) || 'everybody'}</strong>
      <${Tone} of=${evidence.clean ? 'calm' : 'waiting'}>${evidence.canceled_by ? 'canceled' : !evidence.clean ? 'not clean' : evidence.kind === 'PASS_KIND_SAMPLE' ? 'no difference' : 'clean'}<//></div>
    <span>${counts.compared ? `${count(counts.compared)} compared, ${found || 'no difference'}${found && counts.copied ? `; ${count(counts.copied)} repaired` : ''}` : `${count(counts.scanned)} scanned, ${count(counts.copied)} copied, ${count(counts.present)} there already${counts.stale ? `, ${count(counts.stale)} newer there` : ''}`}${counts.target_only ? `, ${count(counts.target_only)} written at target-only` : ''}${evidence.differ_at_most != null ? `; at most ${percentUp(evidence.differ_at_most)} % of all records differ (95 % confidence)` : ''}${counts.quarantined ? `, ${count(counts.quarantined)} quarantined` : ''}${counts.failed ? `, ${count(counts.failed)} failed` : ''}</span>
    <span class="small muted">Ended ${time(evidence.finished_at_ms)}, settled at revision ${evidence.settled}${left && `, left: ${left}`}</span>
    ${evidence.findings.length > 0 && html`<details><summary class="small">${many(evidence.findings.length, 'reason')}</summary>
      <ul class="story small">${evidence.findings.map((finding) => html`<li key=${finding.what}>${count(finding.records)} ${finding.what}${finding.examples.slice(0, 3).map((example) => html`<br /><code>${example}</code>`)}</li>`)}</ul></details>`}`;
}
