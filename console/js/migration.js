// One migration: its views, and what is always in the same place.
import { html, useEffect, useRef, useState } from './lib.js';
import { useStream } from './live.js';
import { to } from './route.js';
import { Card, Said, Tone } from './parts.js';
import { capital, state, urgency } from './words.js';
import { abandon, finish, pause, ramp, resume, rollback, suggested } from './actions.js';
import { ActionDialog } from './dialog.js';
import { Ladder } from './ladder.js';
import { Charts } from './charts.js';
import { Barrier } from './barrier.js';
import { Guards } from './guards.js';
import { Passes } from './passes.js';
import { Plan } from './plan.js';
import { History } from './history.js';
import { Tenants } from './tenants.js';

const VIEWS = [['now', 'Now'], ['history', 'History'], ['tenants', 'Tenants']];

export const useMigration = (key) => useStream('WatchStatus', { key }, 'GetStatus');

export function Migration({ keyName, view, params, stream, say }) {
  const [action, setAction] = useState(null);
  const opener = useRef(null);
  // A button may go with what it did: then the focus is at the title, not nowhere.
  useEffect(() => {
    if (!action && opener.current && !opener.current.isConnected) {
      opener.current = null;
      if (document.activeElement === document.body) document.querySelector('main h1')?.focus();
    }
  });
  const status = stream.data;
  if (stream.missing) return html`<h1 tabindex="-1">${keyName}</h1><p>${stream.missing} <a href=${to(null)}>Show all migrations</a></p>`;
  if (!status) return html`<h1 tabindex="-1">${keyName}</h1><p class="muted">${stream.away ? 'The controller does not answer. Trying again.' : 'Loading.'}</p>`;
  const { migration } = status;
  const act = (chosen) => {
    opener.current = document.activeElement;
    setAction(chosen);
  };
  const close = () => {
    setAction(null);
    opener.current?.focus();
  };
  const isOver = ['finished', 'abandoned'].includes(state(migration.state));
  return html`
    <div class="fixed">
      <div class="title"><h1 tabindex="-1">${migration.key}</h1>
        <p class="small muted">${migration.source} → ${migration.target}, revision ${migration.revision}</p></div>
      <nav aria-label="Views of ${migration.key}"><ul class="tabs">${VIEWS.map(([name, text]) => html`<li key=${name}>
        <a href=${to(migration.key, name)} aria-current=${view === name ? 'page' : undefined}>${text}</a></li>`)}</ul></nav>
      <div class="row acts">
        <button type="button" disabled=${isOver} onClick=${() => act(migration.paused ? resume(migration.key) : pause(migration.key))}>${migration.paused ? 'Resume' : 'Pause'}</button>
        <button type="button" class="danger" disabled=${isOver} onClick=${() => act(rollback(migration.key))}>Roll back</button>
      </div>
    </div>
    <${Gist} status=${status} act=${act} />
    ${view === 'now' && html`<div class="sections">
      <div class="a"><${Ladder} status=${status} act=${act} ramp=${() => act(ramp(migration.key, migration.goal))} isOver=${isOver} /><${Barrier} status=${status} act=${act} /></div>
      <div class="b"><${Charts} status=${status} range=${params.range} /></div>
      <div class="c"><${Plan} status=${status} act=${act} /><${Passes} status=${status} act=${act} />
        ${!isOver && html`<${End} keyName=${migration.key} act=${act} />`}</div>
      <div class="d"><${Guards} status=${status} /></div>
    </div>`}
    ${view === 'history' && html`<${History} keyName=${migration.key} params=${params} revision=${migration.revision} />`}
    ${view === 'tenants' && html`<${Tenants} keyName=${migration.key} params=${params} revision=${migration.revision} pins=${migration.pins} act=${act} />`}
    ${action && html`<${ActionDialog} key=${action.title} action=${action} status=${status} away=${stream.away} close=${close}
      done=${(text) => { say(text); close(); }} />`}`;
}

const End = ({ keyName, act }) => html`<${Card} title="End it" id="end">
  <p class="small muted">Finish it when everybody is at target-only, or abandon it when everybody is back at source-only. Neither can be taken back.</p>
  <p class="row"><button type="button" class="small" onClick=${() => act(finish(keyName))}>Finish</button>
    <button type="button" class="small" onClick=${() => act(abandon(keyName))}>Abandon</button></p>
<//>`;

const WORD = { waiting: 'Needs somebody', alarm: 'Rolled back' };

function Gist({ status, act }) {
  const tone = urgency(status.gist);
  const { what = '', next = '' } = status.gist ?? {};
  const action = suggested(next, status.migration.key, status);
  return html`<div class="gist ${tone}"><div role="status"><${Tone} of=${tone}>${tone === 'calm' ? capital(status.gist?.standing || state(status.migration.state)) : WORD[tone]}<//></div>
    <p class="sentence">${what.replace(/\.$/, '')}.</p>
    ${next && html`<p class="row next"><span>Next: <${Said} text=${next} /></span>
      ${action && html`<button type="button" class="primary small" onClick=${() => act(action)}>${action.verb}</button>`}</p>`}
    ${status.endpoints.map((endpoint) => html`<p class="small" key=${endpoint.name}><strong>Notifications:</strong> endpoint ${endpoint.name} ${
      endpoint.failing_ms > 0 ? `fails (${endpoint.answer}); ${endpoint.waiting} not sent yet` : `rejected ${endpoint.dropped + endpoint.set_aside}`}.</p>`)}
  </div>`;
}
