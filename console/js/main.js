// The page: what is around every view, and which view is shown.
import { html, render, useEffect, useErrorBoundary, useState } from './lib.js';
import { useRoute, to } from './route.js';
import { useNow } from './live.js';
import { Overview, useOverview } from './overview.js';
import { Migration, useMigration } from './migration.js';
import { actor, setActor } from './actor.js';
import { Login } from './login.js';
import { setToken, token } from './token.js';
import { shortTime, span } from './words.js';

const TOAST_MS = 8000;
/** The controller sends every second. */
const FRESH_MS = 3500;

/** A fault of a view must not leave an empty page on a wall. */
function Whole() {
  const [error, retry] = useErrorBoundary((thrown) => console.error(thrown));
  return error
    ? html`<main id="main"><h1 tabindex="-1">This page failed</h1>
        <p role="alert">${String(error.message ?? error)}. The controller is not affected: <code>cutover list</code> shows the migrations.</p>
        <p class="row"><button type="button" class="primary" onClick=${retry}>Try again</button> <button type="button" onClick=${() => location.reload()}>Load it again</button></p></main>`
    : html`<${Frame} />`;
}

/** What the controller says of a token that it does not accept; a number that changes with each token. */
function useToken() {
  const [state, setState] = useState({ refused: null, number: 0 });
  useEffect(() => {
    const refused = (event) => setState((old) => (old.refused === null ? { ...old, refused: event.detail ?? '' } : old));
    const changed = () => setState((old) => ({ refused: null, number: old.number + 1 }));
    addEventListener('unauthenticated', refused);
    addEventListener('token', changed);
    return () => {
      removeEventListener('unauthenticated', refused);
      removeEventListener('token', changed);
    };
  }, []);
  return state;
}

function Frame() {
  const { refused, number } = useToken();
  if (refused === null) return html`<${Views} key=${number} />`;
  return html`<header class="top"><span class="brand"><img src="icon.svg" alt="" />Cutover</span></header><${Login} why=${refused} />`;
}

function Views() {
  const route = useRoute();
  const [toast, setToast] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => setToast(''), TOAST_MS);
    return () => clearTimeout(timer);
  }, [toast]);
  useEffect(() => {
    document.title = route.key ? `${route.key} – Cutover` : 'Cutover';
    document.querySelector('main h1')?.focus({ preventScroll: true });
  }, [route.key, route.view]);
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.querySelector('main h1')?.focus(); }}>Skip to the content</a>
    ${route.key ? html`<${OfMigration} key=${route.key} route=${route} say=${setToast} />` : html`<${OfAll} route=${route} />`}
    <div role="status">${toast && html`<p class="toast">${toast}</p>`}</div>`;
}

function OfAll({ route }) {
  const stream = useOverview();
  return html`<${Top} stream=${stream} /><main id="main"><${Overview} stream=${stream} params=${route.params} /></main>`;
}

function OfMigration({ route, say }) {
  const stream = useMigration(route.key);
  return html`<${Top} stream=${stream} isInside />
    <main id="main"><${Migration} keyName=${route.key} view=${route.view} params=${route.params} stream=${stream} say=${say} /></main>`;
}

function Top({ stream, isInside }) {
  const now = useNow();
  const [who, setWho] = useState(actor());
  const { away, at, missing } = stream;
  useEffect(() => {
    const changed = () => setWho(actor());
    addEventListener('actor', changed);
    return () => removeEventListener('actor', changed);
  }, []);
  return html`<header class="top"><a class="brand" href=${to(null)}><img src="icon.svg" alt="" />Cutover</a>
      ${isInside && html`<nav aria-label="Breadcrumb"><a href=${to(null)}>All migrations</a></nav>`}
      <span class="grow"></span>
      ${token() && html`<span class="small muted">With a token <button type="button" class="quiet small" onClick=${() => setToken('')}>Forget it</button></span>`}
      ${who && !token() && html`<span class="small muted">Acting as ${who} <button type="button" class="quiet small" onClick=${() => setActor('')}>Change</button></span>`}
      <span class="live ${away ? 'away' : ''}">${missing ? '' : away ? 'Controller away' : !at ? 'Connecting' : now - at < FRESH_MS ? 'Live' : `${span(now - at)} old`}</span></header>
    <div role="status">${away && !missing && at > 0 && html`<p class="banner"><strong>The controller does not answer.</strong> What you see is from ${shortTime(at)}, ${span(now - at)} ago. Services go on by their last routing. This page resumes by itself.</p>`}</div>`;
}

render(html`<${Whole} />`, document.getElementById('app'));
