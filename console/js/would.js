// What a dry run answered: what would happen, or every refusal with what to do about it.
import { html } from './lib.js';
import { Said } from './parts.js';
import { RollbackWould } from './rollback.js';
import { subject } from './words.js';

export const Refusals = ({ error }) => html`<div class="notes">
  <p><strong>${error.code === 'UNAVAILABLE' ? error.message : error.code === 'ABORTED' ? 'Somebody else changed it in the meantime. Close this, look again, and repeat it.' : 'Refused'}</strong></p>
  ${error.refusals?.length
    ? error.refusals.map((refusal, at) => html`<div class="note refused" key=${at}>
        ${subject(refusal) && html`<span class="small muted">${subject(refusal)}</span>`}
        <span>${refusal.message}</span>
        ${refusal.action && html`<span class="small"><${Said} text=${refusal.action} /></span>`}</div>`)
    : error.code !== 'UNAVAILABLE' && html`<div class="note refused"><span>${error.message}</span></div>`}
</div>`;

export const Waits = ({ waiting }) => html`<div class="notes">${waiting.map((wait, at) => html`<div class="note ${wait.by_itself ? 'calm' : ''}" key=${at}>
  <span class="small muted">${subject(wait)}</span><span>${wait.message}</span>
  <span class="small"><${Said} text=${wait.action} /></span></div>`)}</div>`;

export function Would({ action, dry, status }) {
  if (action.certain) return html`<ul class="what">${action.certain.map((line) => html`<li key=${line}>${line}</li>`)}</ul>`;
  if (dry.busy) return html`<p class="muted">Asking the controller what would happen.</p>`;
  if (dry.error) return html`<${Refusals} error=${dry.error} />`;
  const { changes, waiting } = dry.answer;
  if (!changes.length) return html`<p>There is nothing to do.</p>`;
  if (action.kind === 'rollback') return html`<${RollbackWould} action=${action} answer=${dry.answer} status=${status} />`;
  return html`<h2>What happens</h2>
    <ul class="what">${changes.map((line) => html`<li key=${line}>${line}</li>`)}${(action.says ?? []).map((line) => html`<li key=${line}>${line}</li>`)}</ul>
    ${waiting.length > 0 && html`<h2>What the rest waits for</h2><${Waits} waiting=${waiting} />`}`;
}
