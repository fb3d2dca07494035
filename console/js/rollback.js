// A rollback: what it would do, and how the instances follow it.
import { html, useEffect, useRef } from './lib.js';
import { RUNGS, capital, many, percent, rung, span } from './words.js';
import { Said, Shares, Waits } from './parts.js';

const at = (name) => RUNGS.indexOf(name);
const arrows = (line) => capital(line.replaceAll('->', '→'));

/** Instances that route by what the controller says; an expired one no longer acts. */
const acting = (status) => status.instances.filter((instance) => !instance.counted_out);

/** Tenants that stay because only the target has their writes. The controller says so of each group. */
const staying = (waiting) => waiting.filter((wait) => wait.gate === 'floor');

export function RollbackWould({ action, answer, status }) {
  const [end, kept, latch] = answer.consequences;
  const all = acting(status);
  const lost = all.filter((instance) => instance.lost || instance.parked);
  // One tenant's rollback is refused if it has to stay.
  const stay = action.tenant ? [] : staying(answer.waiting);
  return html`<dl class="facts">
    <dt>What happens</dt><dd><p>${capital(answer.changes[0])}.</p>
      ${(action.tenant ? answer.ways.filter((line) => line.startsWith(`tenant ${action.tenant}:`)) : answer.ways).map((line) => html`<p key=${line}>${arrows(line)}.</p>`)}
      <p>${capital(end)}.</p><p><${Said} text=${capital(latch)} /></p></dd>
    ${stay.length > 0 && html`<dt>Who stays</dt><dd><${Waits} waiting=${stay} /></dd>`}
    <dt>What is lost</dt><dd>${capital(kept)}.</dd>
    <dt>Who follows</dt><dd>${many(all.length - lost.length, 'instance')} at once.
      ${lost.length > 0 && html` <strong>${many(lost.length, 'lost instance')}</strong>: the controller waits for each at most until its lease ends before a further step.`}
      ${status.callers && html` <strong>Callers without an SDK</strong>, who asked last ${span(status.callers.asked_ms)} ago, as soon as the answers that they hold have expired: within 11 s.`}</dd>
  </dl>`;
}

export function RollbackFollowed({ id, answer, action, status, away, close }) {
  const started = useRef(Date.now());
  const title = useRef(null);
  // What had the focus, the button that was pressed, is gone.
  useEffect(() => title.current.focus(), []);
  const revision = answer.migration.revision;
  const all = acting(status).filter((instance) => !instance.lost && !instance.parked);
  const there = all.filter((instance) => instance.received_revision >= revision).length;
  const isNew = status.migration.revision >= revision;
  const stay = staying(status.waiting);
  const ceiling = rung(status.migration.ceiling);
  // Between two steps everybody is settled, too.
  const goOn = !action.tenant && !stay.length && status.shares.some((share) => share.ppm > 0 && at(rung(share.rung)) > at(ceiling));
  const callers = isNew && !status.callers?.settled && status.callers;
  const over = isNew && status.settled && there === all.length && !goOn;
  const took = useRef(0);
  if (over && !took.current) took.current = Date.now() - started.current;
  return html`<div class="notes">
    <h1 id=${id} ref=${title} tabindex="-1">${over ? 'Rolled back' : 'Rolling back'}</h1>
    <div role="status"><p>${over
      ? `All ${many(all.length, 'instance')} follow, and have ended what they began before. It took ${(took.current / 1000).toFixed(1)} s.`
      : away ? 'The controller does not answer at the moment. The rollback is committed; instances follow as soon as they hear of it.'
      : `${there} of ${many(all.length, 'instance')} follow revision ${revision}.${callers ? ' Callers without an SDK follow within 11 s: the controller waits until the answers that they hold have expired.' : ''}`}</p></div>
    ${over && stay.length > 0 && html`<p>These stay until their writes are copied back:</p><${Waits} waiting=${stay} />`}
    <div class="gauge" role="img" aria-label=${`${there} of ${all.length} instances follow`}><span class="calm" style=${{ width: `${all.length ? (there / all.length) * 100 : 100}%` }} /></div>
    <${Shares} shares=${status.shares} />
    <ul class="legend">${status.shares.map((share) => html`<li key=${share.rung}><span class="swatch fill-${rung(share.rung)}" />${percent(share.ppm)} ${rung(share.rung)}</li>`)}</ul>
    <p class="small muted">Next: find out what was wrong and repair it. Then acknowledge, with what you found as the reason.</p>
    <div class="buttons"><button type="button" class="primary" onClick=${close}>Close</button></div>
  </div>`;
}
