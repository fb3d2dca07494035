// A plan: its steps, and what the next one waits for.
import { html } from './lib.js';
import { Card, Said } from './parts.js';
import { percent, planStatus, rung, span, time } from './words.js';
import { approve, resume, skip } from './actions.js';

function stepState(view, at) {
  const status = planStatus(view.status);
  if (status === 'done') return 'done';
  if (at >= view.taken.length) return 'to come';
  if (at < view.taken.length - 1) return 'done';
  return status === 'running' ? 'running' : 'stopped';
}

const whom = (step) => (step.tenants.length ? step.tenants.join(', ') : percent(step.share_ppm ?? 0));

export function Plan({ status, act }) {
  const view = status.plan;
  if (!view) return html`<${Card} title="Plan" id="plan"><p class="none">None. A plan ramps on its own: <${Said} text=${`cutover plan apply ${status.migration.key} FILE`} /></p><//>`;
  const key = status.migration.key;
  const { steps } = view.plan;
  const next = steps[view.taken.length];
  const needsApproval = next?.approval && view.approved <= view.taken.length && planStatus(view.status) === 'running';
  const waitsOnLast = view.taken.length > 0 && view.missing.some((missing) => /bake|calls|reads|evidence/.test(missing.what));
  const aside = html`<span class="small muted">${planStatus(view.status)}, ${view.taken.length} of ${steps.length} steps taken</span>`;
  return html`<${Card} title="Plan" id="plan" aside=${aside}>
    <div class="notes">
      ${view.held && html`<div class="note"><span>Held: <${Said} text=${view.held} /></span>${/resume/.test(view.held) && status.migration.state !== 'STATE_TRIPPED' && html`<button type="button" class="small primary" onClick=${() => act(resume(key))}>Resume</button>`}</div>`}
      ${view.missing.length > 0 && html`<div class="note calm"><span class="small muted">${next ? `Before step ${view.taken.length + 1}, it waits for` : 'Before it is done, it waits for'}</span>
        ${view.missing.map((missing) => html`<span key=${missing.what}>${missing.what}${missing.until_ms > 0 && html` <span class="small muted">(about ${span(missing.until_ms - view.at_ms)})</span>`}</span>`)}</div>`}
      ${(needsApproval || waitsOnLast) && html`<div class="row">
        ${needsApproval && html`<button type="button" class="small primary" onClick=${() => act(approve(key, view.taken.length + 1))}>Approve step ${view.taken.length + 1}</button>`}
        ${waitsOnLast && html`<button type="button" class="small" onClick=${() => act(skip(key, view.taken.length))}>Skip this wait</button>`}</div>`}
    </div>
    <ol class="steps below">${steps.map((step, at) => html`<${Step} key=${at} step=${step} at=${at} view=${view} />`)}</ol>
    <p class="small muted below">Applied ${time(view.applied_at_ms)} by ${view.applied_by.replace(/^operator:/, '')}</p>
  <//>`;
}

function Step({ step, at, view }) {
  const state = stepState(view, at);
  const taken = view.taken[at];
  const needs = [step.bake_ms > 0 && `bake ${span(step.bake_ms)}`, step.evidence === 'PLAN_EVIDENCE_NONE' ? 'no evidence' : 'evidence of guards', step.approval && (at < view.approved ? 'approved' : 'needs approval')].filter(Boolean);
  const since = taken && (taken.settled_at_ms ? (at === view.taken.length - 1 ? `, settled for ${span(view.at_ms - taken.settled_at_ms)}` : '') : at === view.taken.length - 1 ? ', not settled yet' : '');
  return html`<li class=${state.replace(' ', '-')}><span class="dot" aria-hidden="true">${state === 'done' ? '✓' : at + 1}</span>
    <div><div class="row spread"><span><strong>${rung(step.rung)} ${whom(step)}</strong> <span class="small muted">${needs.join(', ')}</span></span><span class="small muted nowrap">${state}</span></div>
    ${taken && html`<span class="small muted">Taken ${time(taken.at_ms)} in revision ${taken.revision}${since}${taken.skipped && `, wait skipped because ${taken.skipped}`}</span>`}</div></li>`;
}
