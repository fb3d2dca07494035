// Who stands where, and what the next step waits for.
import { html } from './lib.js';
import { Card, Said } from './parts.js';
import { DOES, RUNGS, percent, rung, subject } from './words.js';
import { suggested } from './actions.js';

/** The goal as shares of exactly each rung. */
function exact(rollout) {
  const { dual_ppm: dual = 0, mirrored_ppm: mirrored = 0, target_first_ppm: first = 0, target_only_ppm: only = 0 } = rollout ?? {};
  return { 'source-only': 1000000 - dual, dual: dual - mirrored, mirrored: mirrored - first, hold: 0, 'target-first': first - only, 'target-only': only };
}

export function Ladder({ status, act, ramp, isOver }) {
  const { migration, waiting } = status;
  const here = Object.fromEntries(status.shares.map((share) => [rung(share.rung), share.ppm]));
  const [now, goal] = [exact(migration.rollout), exact(migration.goal)];
  // A rollback caps the goal once it is acknowledged.
  const isLatched = rung(migration.ceiling) !== '';
  const names = RUNGS.filter((name) => name !== 'hold' || here.hold > 0);
  return html`<section class="card ladder" aria-labelledby="ladder">
    <header><h2 id="ladder">Where tenants stand</h2>
      <button type="button" class="small" disabled=${isOver} onClick=${ramp}>Change the shares</button></header>
    <ol class="rungs" reversed>${[...names].reverse().map((name) => html`<li key=${name} class=${here[name] ? '' : 'empty'}>
      <span class="name">${name}</span>
      <span class="bar" aria-hidden="true"><span class="fill-${name}" style=${{ width: `${(here[name] ?? 0) / 10000}%`, minWidth: here[name] ? '3px' : '0' }} /></span>
      <span class="number">${percent(here[name] ?? 0)}</span>
      <span class="does">${DOES[name]}</span>
      ${!isLatched && now[name] !== goal[name] && html`<span class="goal">goal ${percent(goal[name])}</span>`}</li>`)}</ol>
    <p class="small muted">${status.settled ? 'Settled: every instance follows the newest step.' : 'Not settled: some instances have not acknowledged the newest step.'}
      ${migration.pins > 0 && ` ${migration.pins} pinned ${migration.pins === 1 ? 'tenant' : 'tenants'}.`}
      ${migration.tenants_rolled_back > 0 && ` ${migration.tenants_rolled_back} rolled back on their own.`}</p>
    ${waiting.length > 0 && html`<div class="below"><h3>What the next step waits for</h3>
      <div class="notes">${waiting.map((wait, at) => html`<${Wait} key=${at} wait=${wait} status=${status} act=${act} />`)}</div></div>`}
  </section>`;
}

function Wait({ wait, status, act }) {
  const action = wait.by_itself ? null : suggested(wait.action, status.migration.key, status);
  return html`<div class="note ${wait.by_itself ? 'calm' : ''}">
    <span class="small muted">${subject(wait)}${wait.by_itself ? ' (clears on its own)' : ''}</span>
    <span>${wait.message}</span>
    ${wait.action && html`<span class="small"><${Said} text=${wait.action} /></span>`}
    ${action && html`<button type="button" class="small primary" onClick=${() => act(action)}>${action.verb}</button>`}</div>`;
}
