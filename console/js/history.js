// Who changed what, when and why. Filters and the chosen change are in the address.
import { html, useEffect, useRef, useState } from './lib.js';
import { get } from './api.js';
import { replace, to } from './route.js';
import { Trip } from './guards.js';
import { time } from './words.js';

const PAGE = 100;
/** Milliseconds without a key press before the controller searches. */
const TYPING_MS = 250;
const EMPTY = { events: [], next: 0, dropped: 0, loaded: false, busy: true, error: null };
const actorName = (actor) => actor.replace(/^operator:/, '');

/**
 * Pages of the history, newest first. The controller filters: what matches may be far back. `from`: no newer changes
 * than this revision; 0: the newest. New changes are added on top of the pages that are shown.
 */
function useHistory(key, revision, filter, from) {
  const [pages, setPages] = useState(EMPTY);
  const asked = useRef(0);
  const about = JSON.stringify([key, filter, from]);
  const shown = useRef('');
  const read = async (before, merge) => {
    const number = ++asked.current;
    setPages((old) => ({ ...old, busy: true }));
    let answer;
    try {
      answer = await get('ListHistory', { key, page_size: PAGE, before, ...filter });
    } catch (error) {
      // An answer that was overtaken is about something else.
      if (number === asked.current) setPages((old) => ({ ...old, loaded: true, busy: false, error }));
      return;
    }
    if (number === asked.current) setPages((old) => ({ ...merge(old, answer), dropped: answer.dropped_through, loaded: true, busy: false, error: null }));
  };
  const anew = (_, { events, next }) => ({ events, next });
  useEffect(() => {
    const isOther = shown.current !== about;
    shown.current = about;
    const above = from ? from + 1 : 0;
    if (isOther) {
      setPages(EMPTY);
      const timer = setTimeout(() => read(above, anew), TYPING_MS * (filter.find ? 1 : 0));
      return () => clearTimeout(timer);
    }
    if (!from) {
      read(0, (old, { events, next }) => {
        const oldest = events.at(-1)?.revision ?? 0;
        // More than a page came meanwhile: what is between is missing.
        if (!old.events.some((event) => event.revision >= oldest)) return { events, next };
        return { events: [...events, ...old.events.filter((event) => event.revision < oldest)], next: old.next };
      });
    }
    return undefined;
  }, [about, revision]);
  const more = () => read(pages.next, (old, { events, next }) => ({ events: [...old.events, ...events], next }));
  return [pages, more];
}

export function History({ keyName, params, revision }) {
  const { change = '', actor = '', find = '' } = params;
  const chosen = Number(params.r ?? 0) || 0;
  // The change of an address may be older than the first page.
  const [start, setStart] = useState({ of: 0, from: 0 });
  const from = start.of === chosen ? start.from : 0;
  const [pages, more] = useHistory(keyName, revision, { change, by: actor, find }, from);
  const { events } = pages;
  const set = (changed) => replace(to(keyName, 'history', { ...params, ...changed }));
  const names = useRef({ change: new Set(), actor: new Set() });
  for (const event of events) for (const name of ['change', 'actor']) names.current[name].add(event[name]);
  const options = (name) => [...new Set([...names.current[name], ...(params[name] ? [params[name]] : [])])].sort();
  const isFiltered = Boolean(change || actor || find);
  const isThere = events.some((event) => event.revision === chosen);
  useEffect(() => {
    if (!chosen || !pages.loaded || pages.busy) return;
    if (isThere) document.getElementById(`r${chosen}`)?.scrollIntoView({ block: 'center' });
    else if (!from && !isFiltered) setStart({ of: chosen, from: chosen });
  }, [chosen, pages.loaded, pages.busy, isThere, from, isFiltered]);
  return html`<section class="card" aria-labelledby="history"><header><h2 id="history">History</h2></header>
    <div class="row end filters">
      <div class="field"><label for="h-find">Find</label><input id="h-find" type="search" value=${find} onInput=${(event) => set({ find: event.target.value })} /></div>
      <${Choice} id="h-change" name="Change" value=${change} options=${options('change')} set=${(value) => set({ change: value })} />
      <${Choice} id="h-actor" name="Who" value=${actor} options=${options('actor')} set=${(value) => set({ actor: value })} />
    </div>
    ${from > 0 && html`<p class="row">Changes up to r${from}. <button type="button" class="small" onClick=${() => set({ r: '' })}>Show the newest</button></p>`}
    ${pages.error && html`<p role="alert">${pages.error.message}</p>`}
    <div role="status">${pages.loaded && !pages.busy && !pages.error && events.length === 0 && html`<p class="none">${pages.next > 0 ? `No change down to r${pages.next} matches.` : 'No change matches.'}</p>`}
      ${pages.loaded && !pages.busy && !pages.error && from > 0 && !isThere && html`<p class="none">r${chosen} is not a change of ${keyName}, or is no longer kept.</p>`}</div>
    ${events.length > 0 && html`<div class="scroll" tabindex="0" role="group" aria-label="Changes"><table class="stack">
      <thead><tr><th scope="col">When</th><th scope="col">Revision</th><th scope="col">What</th><th scope="col">Who and why</th></tr></thead>
      <tbody>${events.map((event) => html`<tr key=${event.revision} id=${`r${event.revision}`} class="event ${event.revision === chosen ? 'chosen' : ''}">
        <td class="nowrap">${time(event.at_ms)}</td>
        <td><a href=${to(keyName, 'history', { ...params, r: event.revision })} aria-current=${event.revision === chosen ? 'true' : undefined}>r${event.revision}</a></td>
        <td class="what"><div class="story">${event.trip ? html`<${Trip} trip=${event.trip} keyName=${keyName} />` : event.summary}</div><span class="small muted">${event.change}</span></td>
        <td>${actorName(event.actor)}${event.reason && html`<br /><span class="small muted">${event.reason}</span>`}</td></tr>`)}</tbody></table></div>`}
    ${pages.next > 0 && html`<p class="below"><button type="button" disabled=${pages.busy} onClick=${more}>${isFiltered ? `Search changes before r${pages.next}` : 'Show older changes'}</button></p>`}
    ${pages.next === 0 && pages.dropped > 0 && html`<p class="small muted below">Changes up to revision ${pages.dropped} are no longer kept.</p>`}
  </section>`;
}

const Choice = ({ id, name, value, options, set }) => html`<div class="field"><label for=${id}>${name}</label>
  <select id=${id} value=${value ?? ''} onChange=${(event) => set(event.target.value)}><option value="">all</option>${options.map((option) => html`<option key=${option} value=${option} selected=${option === value}>${actorName(option)}</option>`)}</select></div>`;
