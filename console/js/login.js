// What is shown instead of a view while the controller requires a token that this tab does not have.
import { html, useId, useState } from './lib.js';
import { isToken, setToken, token } from './token.js';

export function Login({ why }) {
  const id = useId();
  const [text, setText] = useState('');
  const submit = (event) => {
    event.preventDefault();
    if (isToken(text)) setToken(text);
  };
  return html`<main id="main"><h1 tabindex="-1">This controller requires a token</h1>
    ${token() && html`<p role="alert">${why}</p>`}
    <form onSubmit=${submit}>
      <div class="field"><label for=${id}>Token</label>
        <input id=${id} type="password" required autocomplete="off" spellcheck=${false} autofocus value=${text} onInput=${(event) => setText(event.target.value)} />
        <span class="hint">This tab keeps it until it is closed. An admin makes one: <code>cutover token create NAME --role viewer</code></span></div>
      <div class="buttons"><button type="submit" class="primary" disabled=${!isToken(text)}>Continue</button></div>
    </form></main>`;
}
