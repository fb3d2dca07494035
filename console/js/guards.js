// How far each guard is from a trip, counts first, and the last trips.
import { html } from './lib.js';
import { to } from './route.js';
import { Card } from './parts.js';
import { count, mode, operation, part, rung, span, time } from './words.js';

const WRONG = { slow_relative: 'were slow', not_found_relative: 'found nothing', mismatch: 'differed', miss_ratchet: 'had to fall back to the source' };

/** 55 of 180 target writes failed */
export const counts = (of) => {
  const calls = operation(of.operation) === 'write' ? 'writes' : 'reads';
  return `${count(of.target_bad)} of ${count(of.target)} target ${calls} ${WRONG[of.guard] ?? 'failed'}`;
};

const rates = (of) => {
  const text = [part(of.target_bad, of.target)];
  if (of.limit != null) text.push(`limit ${part(of.limit, 1)}`);
  if (of.source > 0) text.push(`source ${part(of.source_bad, of.source)} of ${count(of.source)}`);
  return text.join(', ');
};

/** An infinite number is a text in JSON. */
const nats = (value) => Number(value).toFixed(1);

const title = (level) => level.guard.replaceAll('_', ' ');
const named = (level) => (operation(level.operation) ? `${title(level)} of ${operation(level.operation)}s` : title(level));

export function Guards({ status }) {
  const called = status.guards.filter((level) => level.target > 0).sort((a, b) => share(b) - share(a));
  const idle = status.guards.filter((level) => level.target === 0);
  const off = status.migration.guards.filter((rule) => rule.mode === 'GUARD_MODE_OFF');
  const trips = [...status.migration.trips].reverse();
  return html`<${Card} title="Guards" id="guards">
    ${status.guards.length === 0 && html`<p class="none">${status.migration.state === 'STATE_TRIPPED' ? 'They are silent until the rollback is acknowledged.' : 'Nothing to judge: nobody is above source-only.'}</p>`}
    <ul class="guards">${called.map((level) => html`<${Level} key=${level.guard + level.operation} level=${level} />`)}</ul>
    ${idle.length > 0 && html`<p class="small muted ${called.length ? 'below' : ''}">No calls to judge at the moment: ${idle.map(named).join(', ')}.</p>`}
    ${off.length > 0 && html`<p class="small muted below">Off: ${off.map(named).join(', ')}</p>`}
    ${trips.length > 0 && html`<div class="below"><h3>Last trips</h3><ul class="notes">${trips.slice(0, 4).map((trip) => html`<li key=${trip.revision} class="note ${trip.outcome === 'TRIP_OUTCOME_ROLLED_BACK' ? 'refused' : ''}">
      <${Trip} trip=${trip} keyName=${status.migration.key} /></li>`)}</ul></div>`}
  <//>`;
}

const share = (level) => Math.max(0, Math.min(1, level.ln_c > 0 ? level.ln_m / level.ln_c : 0));

function Level({ level }) {
  const of = share(level);
  const tone = of >= 0.5 ? 'alarm' : of >= 0.25 ? 'waiting' : 'calm';
  const name = `${title(level)}, ${operation(level.operation)}s`;
  const far = of >= 0.5 ? 'blocks steps up' : `${Math.round(of * 100)} % of the threshold`;
  return html`<li><div class="row spread"><span><strong>${name}</strong>${mode(level.mode) === 'observe' && html` <span class="small muted">(observes only)</span>`}</span><span class="small muted">${far}</span></div>
    <div class="gauge half" role="meter" aria-label=${name} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(of * 100)} aria-valuetext=${`${counts(level)}, ${far}`}><span class=${tone} style=${{ width: `${of * 100}%` }} /></div>
    <span class="small muted">${`${counts(level)} in ${level.onset_ms < 1000 ? 'less than a second' : span(level.onset_ms)} (${rates(level)}; evidence ${nats(level.ln_m)}, threshold ${nats(level.ln_c)})`}</span></li>`;
}

const DID = { TRIP_OUTCOME_HELD: 'Steps up were stopped', TRIP_OUTCOME_OBSERVED: 'Only recorded' };

export const Trip = ({ trip, keyName }) => html`
  <span class="small muted"><a href=${to(keyName, 'history', { r: trip.revision })}>${time(trip.at_ms)}</a>, ${trip.guard.replaceAll('_', ' ')}${trip.tenant && `, tenant ${trip.tenant}`}</span>
  <span>${trip.target > 0 ? `${counts(trip)} in ${trip.onset_ms < 1000 ? 'less than a second' : span(trip.onset_ms)} (${rates(trip)})` : trip.summary}</span>
  <span class="small muted">${DID[trip.outcome] ?? `Rolled back to ${rung(trip.rolled_back_to)}`}.${trip.errors.length > 0 && ` Errors: ${trip.errors.join(', ')}.`}${trip.instances.length > 0 && ` Instances: ${trip.instances.slice(0, 3).map((text) => text.replace(/#[0-9a-f]{16}/, '')).join(', ')}.`}${trip.tenants.length > 0 && ` Tenants: ${trip.tenants.slice(0, 3).join(', ')}.`}</span>`;
