// One change, in one dialog: what would happen, who asks and why, then what did happen.
import { html, useEffect, useId, useRef, useState } from './lib.js';
import { post, requestId } from './api.js';
import { actor, isActor, setActor } from './actor.js';
import { token } from './token.js';
import { RUNG_NAMES, rampBody } from './actions.js';
import { Refusals, Would, wouldDo } from './would.js';
import { RollbackFollowed } from './rollback.js';

/** Milliseconds without a key press before the dry run is repeated. */
const TYPING_MS = 250;
/** Until a dry run is asked for again that was not answered. */
const AGAIN_MS = 2000;

export function ActionDialog({ action, status, away, close, done }) {
  const dialog = useRef(null);
  const id = useId();
  // With a token, the controller knows who acts.
  const [who, setWho] = useState(actor() || (token() && 'console'));
  const [asked] = useState(who !== '');
  const [why, setWhy] = useState('');
  const [values, setValues] = useState(action.values ?? {});
  const [typed, setTyped] = useState('');
  const [wait, setWait] = useState(action.wait ?? false);
  const [dry, setDry] = useState({ busy: true });
  const [sent, setSent] = useState({});
  const [attempt, setAttempt] = useState(0);
  const request = useRef(requestId());

  useEffect(() => dialog.current.showModal(), []);

  const body = () => (action.kind === 'ramp' ? rampBody(action, values, wait) : typeof action.body === 'function' ? action.body(status) : action.body);
  // Calls about instances and passes have who and why beside the rest, and are about no revision.
  const isPlain = action.by === 'itself';
  const requestOf = (mutation) => (isPlain ? { ...body(), ...mutation } : { ...body(), mutation });

  useEffect(() => {
    // Another change has an id of its own.
    request.current = requestId();
    let over = false;
    let timer = setTimeout(async () => {
      // What is shown is about this revision: the change is refused if another one came meanwhile.
      const outcome = { revision: status.migration.revision };
      try {
        outcome.answer = await post(action.method, requestOf({ actor: `operator:${who.trim() || 'console'}`, reason: why || 'dry run', dry_run: true }));
      } catch (error) {
        outcome.error = error;
      }
      if (over) return;
      setDry(outcome);
      if (outcome.error?.isUnknown) timer = setTimeout(() => setAttempt(attempt + 1), AGAIN_MS);
    }, action.kind === 'ramp' ? TYPING_MS : 0);
    return () => { over = true; clearTimeout(timer); };
  }, [JSON.stringify(values), wait, attempt]);

  // What carries no revision is shown anew when there is another one. Once it is sent, its id stays.
  const seen = useRef(status.migration.revision);
  useEffect(() => {
    if (seen.current === status.migration.revision) return;
    seen.current = status.migration.revision;
    if ((action.anyRevision || isPlain) && !sent.busy && !sent.error && !sent.answer) setAttempt((old) => old + 1);
  }, [status.migration.revision]);

  const ready = isActor(who) && typed === (action.confirm ?? '') && why.trim() !== '' && !dry.busy && !dry.error && !sent.busy && wouldDo(action, dry.answer).length > 0;

  const submit = async (event) => {
    event.preventDefault();
    if (!ready) return;
    if (!token()) setActor(who);
    setSent({ busy: true });
    const by = { actor: `operator:${who.trim()}`, reason: why.trim() };
    const once = isPlain ? {} : { request_id: request.current };
    const revision = action.anyRevision || isPlain ? {} : { expected_revision: dry.revision };
    try {
      const answer = await post(action.method, requestOf({ ...by, ...once, ...revision }));
      if (action.follow) {
        setSent({ answer });
      } else {
        // Closed before it goes, so that the focus is where it was.
        dialog.current.close();
        done(action.told ? action.told(answer) : `${answer.changes.join('; ') || 'Nothing to do'} (revision ${answer.migration.revision}).`);
      }
    } catch (error) {
      setSent({ error });
      // It may have been made: the same request again tells. Anything else is over, and shown anew.
      if (error.isUnknown) return;
      setDry({ busy: true });
      setAttempt(attempt + 1);
    }
  };

  const onClose = () => close();
  if (sent.answer) {
    return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby=${`${id}t`}>
      <${RollbackFollowed} id=${`${id}t`} answer=${sent.answer} action=${action} status=${status} away=${away} close=${() => dialog.current.close()} />
    </dialog>`;
  }
  return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby=${`${id}t`}>
    <form onSubmit=${submit}>
      <h1 id=${`${id}t`}>${action.title}</h1>
      ${action.kind === 'ramp' && html`<${ShareFields} id=${id} values=${values} set=${(changed) => { setDry({ busy: true }); setValues({ ...values, ...changed }); }} wait=${wait} setWait=${(it) => { setDry({ busy: true }); setWait(it); }} />`}
      <div aria-live="polite"><${Would} action=${action} dry=${dry} status=${status} /></div>
      ${!asked && html`<div class="field"><label for=${`${id}w`}>Your name</label>
        <input id=${`${id}w`} type="text" required autocomplete="username" autofocus value=${who} onInput=${(event) => setWho(event.target.value)} />
        <span class="hint">${who.trim() === '' || isActor(who) ? 'The history records it with each change. This browser keeps it.' : 'Give at most 100 letters.'}</span></div>`}
      <div class="field"><label for=${`${id}r`}>Reason</label>
        <input id=${`${id}r`} type="text" required autocomplete="off" autofocus=${asked} value=${why} onInput=${(event) => setWhy(event.target.value)} />
        <span class="hint">${action.reasonHint ?? 'A ticket, an incident, what you have seen. It is kept in the history.'}</span></div>
      ${action.confirm && html`<div class="field"><label for=${`${id}c`}>Type ${action.confirm} to confirm</label>
        <input id=${`${id}c`} type="text" required autocomplete="off" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></div>`}
      ${sent.error && html`<div role="alert"><${Refusals} error=${sent.error} /></div>`}
      <div class="buttons">
        <button type="button" onClick=${() => dialog.current.close()}>Cancel</button>
        <button type="submit" class=${action.danger ? 'danger' : 'primary'} disabled=${!ready}>${sent.busy ? 'Sending' : action.verb}</button>
      </div>
    </form>
  </dialog>`;
}

const ShareFields = ({ id, values, set, wait, setWait }) => html`<fieldset class="plain">
  <legend class="only-read">Shares</legend>
  <div class="shares">${RUNG_NAMES.map(([field, name]) => html`<div class="field" key=${field}>
    <label for=${`${id}${field}`}>${name}, %</label>
    <input id=${`${id}${field}`} type="text" inputmode="decimal" autocomplete="off" value=${values[field]} onInput=${(event) => set({ [field]: event.target.value })} /></div>`)}</div>
  <p class="small muted">Each share is of tenants that are at least there. Raising one raises those before it.</p>
  <label class="check"><input type="checkbox" checked=${wait} onChange=${(event) => setWait(event.target.checked)} />
    <span>Accept it even if it has to wait, and continue as soon as each condition is met</span></label>
</fieldset>`;
