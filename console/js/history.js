// Who changed what, when and why. Filters and the chosen change are in the address.
import { html, useEffect, useState } from './lib.js';
import { get } from './api.js';
import { replace, to } from './route.js';
import { Trip } from './guards.js';
import { time } from './words.js';

const PAGE = 100;
const actorName = (actor) => actor.replace(/^operator:/, '');

/** Pages of the history, newest first; read again when the migration changes. */
function useHistory(key, revision) {
  const [pages, setPages] = useState({ events: [], next: 0, loaded: false, error: null, dropped: 0 });
  const read = async (before, kept) => {
    try {
      const page = await get('ListHistory', { key, page_size: PAGE, before });
      setPages({ events: [...kept, ...page.events], next: page.next, loaded: true, error: null, dropped: page.dropped_through });
    } catch (error) {
      setPages((old) => ({ ...old, loaded: true, error }));
    }
  };
  useEffect(() => { read(0, []); }, [key, revision]);
  return [pages, () => read(pages.next, pages.events)];
}

export function History({ keyName, params, revision }) {
  const [pages, more] = useHistory(keyName, revision);
  const set = (changed) => replace(to(keyName, 'history', { ...params, ...changed }));
  const wanted = (params.find ?? '').toLowerCase();
  const events = pages.events.filter((event) =>
    (!params.change || event.change === params.change) && (!params.actor || event.actor === params.actor) &&
    (!wanted || `${event.summary} ${event.reason} r${event.revision}`.toLowerCase().includes(wanted)));
  const options = (name) => [...new Set(pages.events.map((event) => event[name]))].sort();
  const chosen = Number(params.r ?? 0);
  useEffect(() => {
    if (chosen && pages.loaded) document.getElementById(`r${chosen}`)?.scrollIntoView({ block: 'center' });
  }, [chosen, pages.loaded]);
  return html`<section class="card" aria-labelledby="history"><header><h2 id="history">History</h2></header>
    <div class="row end filters">
      <div class="field"><label for="h-find">Find</label><input id="h-find" type="search" value=${params.find ?? ''} onInput=${(event) => set({ find: event.target.value })} /></div>
      <${Choice} id="h-change" name="Change" value=${params.change} options=${options('change')} set=${(value) => set({ change: value })} />
      <${Choice} id="h-actor" name="Who" value=${params.actor} options=${options('actor')} set=${(value) => set({ actor: value })} />
    </div>
    ${pages.error && html`<p role="alert">${pages.error.message}</p>`}
    ${pages.loaded && events.length === 0 && html`<p class="none">No change matches.</p>`}
    ${events.length > 0 && html`<div class="scroll" tabindex="0" role="group" aria-label="Changes"><table class="stack">
      <thead><tr><th scope="col">When</th><th scope="col">Revision</th><th scope="col">What</th><th scope="col">Who and why</th></tr></thead>
      <tbody>${events.map((event) => html`<tr key=${event.revision} id=${`r${event.revision}`} class="event ${event.revision === chosen ? 'chosen' : ''}">
        <td class="nowrap">${time(event.at_ms)}</td>
        <td><a href=${to(keyName, 'history', { ...params, r: event.revision })} aria-current=${event.revision === chosen ? 'true' : undefined}>r${event.revision}</a></td>
        <td class="what"><div class="story">${event.trip ? html`<${Trip} trip=${event.trip} keyName=${keyName} />` : event.summary}</div><span class="small muted">${event.change}</span></td>
        <td>${actorName(event.actor)}${event.reason && html`<br /><span class="small muted">${event.reason}</span>`}</td></tr>`)}</tbody></table></div>`}
    ${pages.next > 0 && html`<p class="below"><button type="button" onClick=${more}>Show older changes</button></p>`}
    ${pages.next === 0 && pages.dropped > 0 && html`<p class="small muted below">Changes up to revision ${pages.dropped} are no longer kept.</p>`}
  </section>`;
}

const Choice = ({ id, name, value, options, set }) => html`<div class="field"><label for=${id}>${name}</label>
  <select id=${id} value=${value ?? ''} onChange=${(event) => set(event.target.value)}><option value="">all</option>${options.map((option) => html`<option key=${option} value=${option} selected=${option === value}>${actorName(option)}</option>`)}</select></div>`;
