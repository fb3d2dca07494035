// One tenant: where it stands and why; and the tenants that are pinned.
import { html, useState } from './lib.js';
import { useRead } from './live.js';
import { replace, to } from './route.js';
import { Card, Waits } from './parts.js';
import { RUNGS, rung } from './words.js';
import { clearPin, rollback, setPin } from './actions.js';

const PAGE = 200;

export function Tenants({ keyName, params, revision, pins, act }) {
  const [typed, setTyped] = useState(params.tenant ?? '');
  const search = (event) => {
    event.preventDefault();
    replace(to(keyName, 'tenants', { tenant: typed.trim() }));
  };
  return html`<div class="two">
    <${Card} title="Explain a tenant" id="explain">
      <form class="row end" role="search" onSubmit=${search}>
        <div class="field"><label for="tenant">Tenant</label><input id="tenant" type="search" required autocomplete="off" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></div>
        <button class="primary">Explain</button></form>
      ${params.tenant && html`<div class="below" aria-live="polite"><${Explained} key=${params.tenant} keyName=${keyName} tenant=${params.tenant} revision=${revision} act=${act} /></div>`}
    <//>
    <${Pins} keyName=${keyName} revision=${revision} pins=${pins} act=${act} /></div>`;
}

function Explained({ keyName, tenant, revision, act }) {
  const { data, error } = useRead('Explain', { key: keyName, tenant }, [revision]);
  const [to, setTo] = useState('dual');
  if (error) return html`<p role="alert">${error.message}</p>`;
  if (!data) return html`<p class="muted">Loading.</p>`;
  const pin = rung(data.pin);
  return html`<div class="answer">
    <p class="sentence"><strong>${data.tenant}</strong> is at <strong>${rung(data.rung)}</strong>${rung(data.wanted) !== rung(data.rung) && ` on the way to ${rung(data.wanted)}`}.</p>
    <ul class="story">${data.story.map((line) => html`<li key=${line}>${line}</li>`)}</ul>
    ${data.waiting.length > 0 && html`<${Waits} waiting=${data.waiting} />`}
    <dl class="facts small"><dt>Bucket</dt><dd>${data.bucket}</dd><dt>By its bucket alone</dt><dd>${rung(data.rollout)}</dd>
      <dt>Pin</dt><dd>${pin || 'none'}</dd><dt>Rollback</dt><dd>${rung(data.ceiling) ? `kept at ${rung(data.ceiling)} or below` : 'none'}</dd>
      <dt>Here since</dt><dd>revision ${data.since}</dd></dl>
    <div class="row end">
      <div class="field"><label for="pin-to">Pin to</label><select id="pin-to" value=${to} onChange=${(event) => setTo(event.target.value)}>${RUNGS.filter((name) => name !== 'hold').map((name) => html`<option key=${name} value=${name} selected=${name === to}>${name}</option>`)}</select></div>
      <button type="button" onClick=${() => act(setPin(keyName, data.tenant, to))}>Pin</button>
      ${pin && html`<button type="button" onClick=${() => act(clearPin(keyName, data.tenant))}>Unpin</button>`}
      <button type="button" class="danger" onClick=${() => act(rollback(keyName, data.tenant))}>Roll back this tenant</button></div></div>`;
}

function Pins({ keyName, revision, pins, act }) {
  const [after, setAfter] = useState([]);
  const { data } = useRead('ListPins', { key: keyName, page_size: PAGE, after: after.at(-1) ?? '' }, [revision]);
  return html`<${Card} title="Pins" id="pins" aside=${html`<span class="small muted">${pins} pinned</span>`}>
    ${pins === 0 && html`<p class="none">No tenant is pinned: all stand where the shares put their bucket.</p>`}
    ${data?.pins.length > 0 && html`<table><thead><tr><th scope="col">Tenant</th><th scope="col">Pinned to</th><th scope="col">Stands at</th><th scope="col"><span class="only-read">Unpin</span></th></tr></thead>
      <tbody>${data.pins.map((pin) => html`<tr key=${pin.tenant}><td><a href=${to(keyName, 'tenants', { tenant: pin.tenant })}>${pin.tenant}</a></td><td>${rung(pin.rung)}</td><td>${rung(pin.at)}</td>
        <td class="number"><button type="button" class="small" aria-label=${`Unpin ${pin.tenant}`} onClick=${() => act(clearPin(keyName, pin.tenant))}>Unpin</button></td></tr>`)}</tbody></table>`}
    <p class="row">${after.length > 0 && html`<button type="button" class="small" onClick=${() => setAfter(after.slice(0, -1))}>Back</button>`}
      ${data?.next && html`<button type="button" class="small" onClick=${() => setAfter([...after, data.next])}>More</button>`}</p>
  <//>`;
}
