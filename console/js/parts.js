// Small parts that several screens use.
import { html, useState } from './lib.js';
import { RUNGS, percent, rung, subject } from './words.js';

const SHAPES = {
  calm: html`<path d="M2.5 8.5l3.5 3.5 7.5-8" fill="none" stroke="currentColor" stroke-width="2.2" />`,
  waiting: html`<path d="M4 3v10M12 3v10" fill="none" stroke="currentColor" stroke-width="2.6" />`,
  alarm: html`<path d="M8 1l7.5 14H.5z" fill="currentColor" />`,
  over: html`<circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="2" />`,
};

/** A word with a shape and a colour, any of which is enough to tell it. */
export const Tone = ({ of, children }) => html`<span class="tone ${of}">
  <svg viewBox="0 0 16 16" aria-hidden="true">${SHAPES[of]}</svg>${children}</span>`;

/** The shares of the rungs as one bar, with the same as text for those who can't see it. */
export const Shares = ({ shares }) => {
  const given = RUNGS.map((name) => [name, shares.find((share) => rung(share.rung) === name)?.ppm ?? 0]).filter(([, ppm]) => ppm > 0);
  const text = given.map(([name, ppm]) => `${percent(ppm)} ${name}`).join(', ');
  return html`<div class="bar" role="img" aria-label=${text}>
    ${given.map(([name, ppm]) => html`<span key=${name} class="fill-${name}" style=${{ width: `${ppm / 10000}%` }} />`)}
  </div>`;
};

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // Not over plain HTTP from another machine; the text can be selected.
  }
}

export function Command({ children }) {
  const [copied, setCopied] = useState('');
  const click = async () => setCopied((await copy(children)) ? 'Copied' : 'Select it to copy');
  return html`<span class="command"><code>${children}</code>
    <button type="button" onClick=${click} onBlur=${() => setCopied('')} aria-label=${`Copy ${children}`}>${copied || 'Copy'}</button></span>`;
}

const COMMAND = /(cutover [a-z][a-z-]*(?: (?!then\b|once\b|too\b|or\b|and\b|shows\b|lists\b|begins\b|lifts\b|if\b)[^\s;,()]*[^\s;,():])*)/;

/** Text in which the commands can be copied. */
export const Said = ({ text }) =>
  text.split(COMMAND).map((piece, at) => {
    if (at % 2 === 0) return piece;
    const end = piece.match(/[.:]$/) && !piece.endsWith('..') ? piece.length - 1 : piece.length;
    return html`<${Command}>${piece.slice(0, end)}<//>${piece.slice(end)}`;
  });

export const Card = ({ title, id, aside, children, wide }) => html`<section class="card ${wide ? 'wide' : ''}" aria-labelledby=${id}>
  <header><h2 id=${id}>${title}</h2>${aside}</header>${children}</section>`;

/** What has to be met first, with what to do about it. */
export const Waits = ({ waiting }) => html`<div class="notes">${waiting.map((wait, at) => html`<div class="note ${wait.by_itself ? 'calm' : ''}" key=${at}>
  <span class="small muted">${subject(wait)}</span><span>${wait.message}</span>
  <span class="small"><${Said} text=${wait.action} /></span></div>`)}</div>`;
