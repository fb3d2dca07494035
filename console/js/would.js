// What a dry run answered: what would happen, or every refusal with what to do about it.
import { html } from './lib.js';
import { Said, Waits } from './parts.js';
import { RollbackWould } from './rollback.js';
import { rung, subject } from './words.js';

function headline(error, isDry) {
  if (error.code === 'ABORTED') return 'It changed in the meantime, so nothing was done. Look at what would happen now, and press the button again.';
  if (!error.isUnknown) return 'Refused';
  return isDry ? 'The controller does not say what would happen. Asking again.' : 'It is not known whether this was done. Press the button again: it is done at most once.';
}

export const Refusals = ({ error, isDry = false }) => html`<div class="notes">
  <p><strong>${headline(error, isDry)}</strong></p>
  ${error.refusals?.length
    ? error.refusals.map((refusal, at) => html`<div class="note refused" key=${at}>
        ${subject(refusal) && html`<span class="small muted">${subject(refusal)}</span>`}
        <span>${refusal.message}</span>
        ${refusal.action && html`<span class="small"><${Said} text=${refusal.action} /></span>`}</div>`)
    : html`<div class="note refused"><span>${error.message}</span></div>`}
</div>`;

/** What an answer to a dry run says would be done, a line each. */
export const wouldDo = (action, answer) => (answer ? (action.would ? action.would(answer) : answer.changes) : []);

export function Would({ action, dry, status }) {
  if (dry.busy) return html`<p class="muted">Asking the controller what would happen.</p>`;
  if (dry.error) return html`<${Refusals} error=${dry.error} isDry />`;
  const [changes, { waiting = [] }] = [wouldDo(action, dry.answer), dry.answer];
  const held = rung(status.migration.ceiling);
  const rolledBack = action.kind === 'ramp' && held && html`<p class="note waiting">A rollback holds everybody at ${held} or below until it is acknowledged. Higher shares take effect after that.</p>`;
  if (!changes.length) return html`${rolledBack}<p>There is nothing to do.</p>${(dry.answer.consequences ?? []).map((why) => html`<p key=${why} class="muted">${why}</p>`)}`;
  if (action.kind === 'rollback') return html`<${RollbackWould} action=${action} answer=${dry.answer} status=${status} />`;
  return html`${rolledBack}<h2>What happens</h2>
    <ul class="what">${changes.map((line) => html`<li key=${line}>${line}</li>`)}${(action.says ?? []).map((line) => html`<li key=${line}>${line}</li>`)}</ul>
    ${waiting.length > 0 && html`<h2>What the rest waits for</h2><${Waits} waiting=${waiting} />`}`;
}
