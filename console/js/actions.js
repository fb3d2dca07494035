// What an operator can do. Each action says which call it is, and what it does in words. The dialog runs it dry
// first, then for real.
import { many } from './words.js';

const RUNG_NAMES = [['dual_ppm', 'dual'], ['mirrored_ppm', 'mirrored'], ['target_first_ppm', 'target-first'], ['target_only_ppm', 'target-only']];

export const rollback = (key, tenant = '') => ({
  kind: 'rollback',
  title: tenant ? `Roll back tenant ${tenant}` : `Roll back ${key}`,
  verb: tenant ? `Roll back ${tenant}` : `Roll back ${key}`,
  danger: true,
  method: 'Rollback',
  body: { key, tenant },
  tenant,
  // Never refused because somebody else changed something in the meantime.
  anyRevision: true,
  follow: true,
});

export const acknowledge = (key) => ({
  title: `Acknowledge the rollback of ${key}`,
  verb: 'Acknowledge',
  method: 'Acknowledge',
  body: { key },
  says: ['The rollback is no longer latched. Nobody moves: tenants stay where they are until you raise the shares.'],
  reasonHint: 'What was found and repaired',
});

export const pause = (key) => ({
  title: `Pause ${key}`,
  verb: 'Pause',
  method: 'Pause',
  body: { key },
  says: ['Steps up stop, and so does the plan. Steps down do not.'],
});

export const resume = (key) => ({
  title: `Resume ${key}`,
  verb: 'Resume',
  method: 'Resume',
  body: { key },
  says: ['Steps up continue, and so does the plan.'],
});

export const approve = (key, step) => ({
  title: `Approve step ${step} of the plan`,
  verb: `Approve step ${step}`,
  method: 'ApprovePlan',
  body: { key, step },
  says: ['The controller takes this step as soon as everything else that it waits for is there.'],
});

export const skip = (key, step) => ({
  title: `Skip what step ${step} still waits for`,
  verb: `Skip the wait of step ${step}`,
  method: 'SkipPlanStep',
  body: { key, step },
  says: [
    'Waives the bake time and the evidence that the step still lacks.',
    'Instances that are behind, what a guard suspects, windows and approvals are not waived.',
  ],
  reasonHint: 'Why it is safe to go on without them',
});

export const ramp = (key, goal) => ({
  kind: 'ramp',
  title: `Change the shares of ${key}`,
  verb: 'Change the shares',
  method: 'SetRollout',
  body: { key },
  values: Object.fromEntries(RUNG_NAMES.map(([field]) => [field, String((goal?.[field] ?? 0) / 10000)])),
  wait: false,
  goal,
});

/** The request for the shares that were changed in the form; an error if one is no percentage. */
export function rampBody(action, values, wait) {
  const body = { ...action.body, wait };
  for (const [field, name] of RUNG_NAMES) {
    const ppm = Math.round(Number(values[field]) * 10000);
    if (values[field].trim() === '' || !(ppm >= 0 && ppm <= 1000000)) throw new Error(`${name}: give 0 to 100 percent, not "${values[field]}".`);
    if (ppm !== (action.goal?.[field] ?? 0)) body[field] = ppm;
  }
  return body;
}
export { RUNG_NAMES };

export const finish = (key) => ({
  title: `Finish ${key}`,
  verb: 'Finish it for good',
  danger: true,
  method: 'Finish',
  body: { key, confirm: key },
  confirm: key,
  says: ['Nobody can go back: from now on the source misses every write. This cannot be taken back.'],
  reasonHint: 'Why the source is no longer needed',
});

export const abandon = (key) => ({
  title: `Abandon ${key}`,
  verb: 'Abandon it for good',
  danger: true,
  method: 'Abandon',
  body: { key },
  confirm: key,
  says: ['Nobody goes up again. This cannot be taken back; a new attempt is a new migration.'],
  reasonHint: 'Why it is given up',
});

export const evict = (instance) => ({
  title: `Evict ${instance.instance_id}`,
  verb: 'Evict it',
  danger: true,
  method: 'EvictInstance',
  // It leaves out processes that report again.
  body: { instance_id: instance.instance_id, lost: true },
  by: 'itself',
  says: [
    'Steps no longer wait for it. The history of every unfinished migration records it.',
    'Evict it only if its process has ended: one that still runs, cut off from the controller, keeps its old routes, and its writes are lost.',
  ],
  told: ({ evicted }) => `Evicted ${evicted.join(', ')}.`,
  reasonHint: 'How you know that its process has ended',
});

export const setPin = (key, tenant, rungName) => ({
  title: `Pin tenant ${tenant} to ${rungName}`,
  verb: 'Pin it',
  method: 'SetPin',
  body: { key, tenant, rung: `RUNG_${rungName.toUpperCase().replaceAll('-', '_')}`, wait: true },
  says: [`The tenant goes to ${rungName} and stays there, whatever the shares are, until it is unpinned.`],
});

export const clearPin = (key, tenant) => ({
  title: `Unpin tenant ${tenant}`,
  verb: 'Unpin it',
  method: 'ClearPin',
  body: { key, tenant, wait: true },
  says: ['The tenant goes to where the shares put its bucket.'],
});

const workers = (pass) => new Set(pass.claims.map((claim) => claim.instance_id)).size;

const pauses = ({ paused }) => ({ true: ['Pause the pass', 'Pause'], false: ['Continue the pass', 'Continue'] })[paused] ?? ['Limit the pass', 'Set the limits'];

/** `change`: what is to differ of the pass's tuning, which may change while the dialog is open. */
export const tunePass = (id, change) => ({
  title: pauses(change)[0],
  verb: pauses(change)[1],
  method: 'TuneJob',
  body: (status) => ({ id, tuning: { ...status.jobs.find((job) => job.id === id)?.tuning, ...change } }),
  by: 'itself',
  // The pass as it would be.
  would: (pass) => [
    ...(pass.tuning.paused ? ['Workers finish the page in hand, then wait. Nothing is lost; the pass continues from there.'] : []),
    `${workers(pass) > 1 ? `All ${many(workers(pass), 'worker')} together` : 'Its worker'}: ${limits(pass.tuning)}.`,
  ],
  told: (pass) => `The pass ${pass.tuning.paused ? 'is paused' : 'runs'}, ${limits(pass.tuning)}.`,
});

export const limits = (tuning) => {
  const given = [];
  if (tuning?.records_per_s) given.push(`${tuning.records_per_s} records/s`);
  if (tuning?.bytes_per_s) given.push(`${tuning.bytes_per_s} bytes/s`);
  return given.length ? `at most ${given.join(' and ')}` : 'no limit';
};

/** The action behind a command that the controller suggests, if a button is safe for it. */
export function suggested(text, key, status) {
  if (/cutover plan approve\b/.test(text)) return approve(key, (status.plan?.taken?.length ?? 0) + 1);
  if (/cutover ack\b/.test(text) && status.migration.state === 'STATE_TRIPPED') return acknowledge(key);
  if (/cutover resume\b/.test(text) && (status.migration.paused || status.plan?.held)) return resume(key);
  return null;
}

