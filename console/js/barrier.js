// The instances, and what each has acknowledged: those in trouble first.
import { html, useState } from './lib.js';
import { Card, Tone } from './parts.js';
import { many, span } from './words.js';
import { evict } from './actions.js';

const SHOWN = 12;

function standing(instance) {
  const left = instance.waited_for_ms ? `, waited for ${span(instance.waited_for_ms)} more` : '';
  if (instance.counted_out) return ['over', 'counted out', 4];
  if (instance.refused) return ['alarm', `refused for its token${left}`, 0];
  if (instance.lost && !instance.parked) return ['alarm', `lost${left}`, 0];
  if (instance.duplicate) return ['alarm', 'duplicate id', 1];
  if (instance.parked) return ['waiting', `gone, left a snapshot file${left}`, 3];
  if (instance.settled) return ['calm', 'settled', 5];
  return ['waiting', 'behind', 2];
}

export function Barrier({ status, act }) {
  const [all, setAll] = useState(false);
  const rows = status.instances.map((instance) => [instance, standing(instance)]);
  rows.sort(([a, [, , x]], [b, [, , y]]) => x - y || a.instance_id.localeCompare(b.instance_id));
  const there = rows.filter(([instance]) => instance.settled).length;
  const shown = all ? rows : rows.slice(0, SHOWN);
  return html`<${Card} title="Instances" id="barrier" aside=${rows.length > 0 && html`<span class="small muted">${there} of ${many(rows.length, 'instance')} settled</span>`}>
    ${rows.length === 0 && html`<p class="none">No instance is registered.</p>`}
    ${rows.length > 0 && html`<div class="scroll" tabindex="0" role="group" aria-label="Instances"><table class="stack">
      <thead><tr><th scope="col">Instance</th><th scope="col">Standing</th><th scope="col" class="number">Received</th><th scope="col" class="number">Quiesced</th><th scope="col" class="number">Heard</th></tr></thead>
      <tbody>${shown.map(([instance, [tone, text]]) => html`<tr key=${instance.instance_id + instance.incarnation}>
        <td>${instance.instance_id}<br /><span class="small muted">${instance.service}${instance.sdk && `, ${instance.sdk}`}</span></td>
        <td><${Tone} of=${tone}>${text}<//>
          ${instance.lost && !instance.parked && !instance.refused && html` <button type="button" class="small" aria-label=${`Evict ${instance.instance_id}`} onClick=${() => act(evict(instance))}>Evict</button>`}</td>
        <td class="number" data-name="received">r${instance.received_revision}</td>
        <td class="number" data-name="quiesced">r${instance.applied_revision}</td>
        <td class="number" data-name="heard">${span(instance.silent_ms)} ago</td></tr>`)}</tbody></table></div>`}
    ${status.callers && html`<${Callers} callers=${status.callers} />`}
    ${rows.length > SHOWN && html`<button type="button" class="quiet" aria-expanded=${all} onClick=${() => setAll(!all)}>${all ? 'Show fewer' : `Show ${rows.length - SHOWN} more`}</button>`}
  <//>`;
}

/** Services that ask for each decision. They acknowledge nothing: steps wait until their answers have expired. */
const Callers = ({ callers }) => html`<div class="note below ${callers.settled ? 'calm' : ''}">
  <span><strong>Callers without an SDK</strong> <${Tone} of=${callers.settled ? 'calm' : 'waiting'}>${callers.settled ? 'settled' : `waited for ${span(callers.waited_for_ms)} more`}<//></span>
  <span class="small muted">Services that ask by Decide or OpenFeature, last ${span(callers.asked_ms)} ago. Their answers from before r${callers.applied_revision} have expired. Each step waits at most 11 s for the others.</span></div>`;
