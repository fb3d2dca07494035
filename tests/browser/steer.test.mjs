// What an operator watches and steers while a migration runs: a plan, a pass, one tenant, old changes, and services
// without an SDK.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { Browser, assertAccessible, assertFits, screenshot } from './browser.mjs';
import { acts } from './operator.mjs';
import { World } from './world.mjs';

const ALL = 1_000_000;
const WIDTHS = [[360, 740], [1280, 800], [2560, 1440]];
let world, browser, page;
const { open, dialog, button, confirm } = acts(() => page, () => world);

before(async () => {
  world = await World.start();
  await world.cli('create', 'orders', '--source', 'orders in DynamoDB', '--target', 'orders in MariaDB', '--actor', 'operator:grace', '--reason', 'the first change');
  world.startWorkers();
  await world.eventually('three workers are registered', async () => (await world.status('orders')).instances.length === 3);
  browser = await Browser.start();
  page = await browser.page();
});

after(async () => {
  await browser?.stop();
  await world?.stop();
});

beforeEach(async () => {
  // What an earlier test left open.
  if (await dialog().isVisible()) await page.reload();
});

/** A screenshot at every width. */
async function look(name) {
  for (const [width, height] of WIDTHS) {
    await page.setViewportSize({ width, height });
    await screenshot(page, `${name}-${width}`);
    await assertFits(page, `${name} at ${width} px`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await assertAccessible(page, name);
}

const focused = () => page.evaluate(() => document.activeElement.textContent);

test('a plan is shown step by step, its wait is skipped with a reason, and it is paused and resumed', async () => {
  fs.writeFileSync(world.file('ramp.yaml'), `steps:
  - { stage: dual, percent: 100, bake: 1h, evidence: none }
  - { stage: mirrored, percent: 100, bake: 1h, evidence: none }
  - { stage: target-first, percent: 50, evidence: none, approval: true }
`);
  await world.cli('plan', 'apply', 'orders', 'ramp.yaml', '--reason', 'CHG-1');
  await open('m/orders');
  const plan = page.getByRole('region', { name: 'Plan' });
  await plan.getByText('1 of 3 steps taken').waitFor();
  await plan.getByText(/of its bake time/).first().waitFor();
  await world.settled('orders', { RUNG_DUAL: ALL });
  await look('steer-plan');
  const overview = await browser.page();
  await overview.goto(`${world.url}/console/`);
  await overview.getByText(/^1 of 3, next in (59|60) min|^1 of 3, next in 1 h/).waitFor();
  await overview.close();
  await button('Skip this wait').click();
  await dialog().getByText('Waives the bake time and the evidence').waitFor();
  assert.equal((await world.status('orders')).plan.taken.length, 1, 'a dry run skips nothing');
  await confirm('Skip the wait of step 1', 'night traffic is too low');
  await world.settled('orders', { RUNG_MIRRORED: ALL });
  await plan.getByText('wait skipped because night traffic is too low').waitFor();

  // A dialog asks again if the migration changes beneath it.
  await plan.getByText('2 of 3 steps taken').waitFor();
  await button('Pause').first().click();
  await confirm('Pause', 'the database is patched');
  await page.getByText('orders is paused by operator:ada').waitFor();
  await plan.getByText('Held:').waitFor();
  await look('steer-plan-held');
  await plan.getByRole('button', { name: 'Resume', exact: true }).click();
  await confirm('Resume', 'patched');
  await plan.getByText('Held:').waitFor({ state: 'hidden' });
  const history = await world.cli('history', 'orders', '--json');
  for (const reason of ['night traffic is too low', 'the database is patched', 'patched']) assert.ok(history.includes(`"reason":"${reason}"`), reason);
  await world.cli('plan', 'stop', 'orders');
  await plan.getByText('ended, 2 of 3 steps taken').or(plan.getByText('stopped, 2 of 3 steps taken')).waitFor();
  page.assertFine();
});

test('after a change the focus is where it was, and after one that takes its button away at the title', async () => {
  await button('Pause').first().focus();
  await page.keyboard.press('Enter');
  await confirm('Pause', 'a look at the focus');
  await dialog().waitFor({ state: 'hidden' });
  await page.getByText('orders is paused by operator:ada').waitFor();
  assert.equal(await focused(), 'Resume', 'the same button, which resumes now');
  const inSentence = page.locator('.gist').getByRole('button', { name: 'Resume', exact: true });
  await inSentence.click();
  await confirm('Resume', 'seen');
  await inSentence.waitFor({ state: 'hidden' });
  await world.eventually('the title has the focus', async () => (await focused()) === 'orders');
  page.assertFine();
});

test('a running pass shows its progress, pace and what holds it up, and is paused, continued and limited', async () => {
  fs.writeFileSync(world.file('slow.toml'), `${fs.readFileSync(world.file('stores.toml'))}[limits]\nrecords_per_s = 20\n`);
  world.spawn(['backfill', 'slow.toml', '--server', `http://${world.addresses.grpc}`], 'ignore');
  const passes = page.getByRole('region', { name: 'Passes' });
  await passes.getByText('full pass of everybody').waitFor();
  await passes.getByRole('progressbar').waitFor();
  await passes.getByText(/records scanned.*, \d+(\.\d+)?\/s, /).waitFor();
  await passes.getByText('at most 20 records/s').first().waitFor();
  await passes.getByText(/Slow because: at its limit of /).waitFor();
  await look('steer-pass');
  const overview = await browser.page();
  await overview.goto(`${world.url}/console/`);
  await overview.getByText(/^full \d+ %/).waitFor();
  overview.assertFine();
  await overview.close();

  await passes.getByRole('button', { name: 'Pause', exact: true }).click();
  await dialog().getByText('Workers finish the page in hand').waitFor();
  const tuning = async () => (await world.status('orders')).jobs[0].tuning;
  assert.equal((await tuning()).paused, false, 'a dry run pauses nothing');
  await screenshot(page, 'steer-pass-pause');
  await confirm('Pause', 'the lunch peak');
  await passes.getByText('Slow because: paused by an operator').waitFor();
  assert.equal((await tuning()).paused, true);

  await passes.getByRole('button', { name: 'Continue', exact: true }).click();
  await confirm('Continue', 'the peak is over');
  await world.eventually('it runs', async () => !(await tuning()).paused);
  await passes.getByRole('button', { name: 'Pause', exact: true }).waitFor();
  await passes.getByLabel('At most').fill('5000');
  await passes.getByRole('button', { name: 'Limit', exact: true }).click();
  await dialog().getByText('at most 5000 records/s').waitFor();
  assert.equal((await tuning()).records_per_s, 20, 'a dry run changes no limit');
  await confirm('Set the limits', 'nobody is here');
  await passes.getByText('clean', { exact: true }).waitFor({ timeout: 60_000 });
  await page.getByText(/^The pass runs, at most 5000/).or(passes.getByText('clean', { exact: true })).first().waitFor();
  const history = await world.cli('history', 'orders', '--json');
  for (const reason of ['the lunch peak', 'the peak is over', 'nobody is here']) assert.ok(history.includes(reason), reason);
  page.assertFine();
});

test('a pass that is not clean shows why, and no value of a record', async () => {
  // The target has a file of its own: the pass would else hold the one that the workers of orders write to, for long
  // enough that orders is rolled back.
  const side = (name, file, rest) => `[${name}]\nurl = "sqlite:${world.dir}/${file}.db"\n${rest}\n`;
  fs.writeFileSync(world.file('customers.toml'), `migration = "customers"\n${side('source', 'source', 'table = "records"')}${side('target', 'customers', 'table = "customers"\noverflow = "rest"\ncolumns = [{ name = "name", type = "text" }]')}`);
  await world.cli('create', 'customers', '--source', 'customers in DynamoDB', '--target', 'customers in MariaDB');
  await world.cli('backfill', 'customers.toml', '--create-tables').catch(() => 'not clean, but the table is there');
  const socket = world.file('sidecar.sock');
  const sidecar = world.spawn(['sidecar', '--socket', socket, '--service', 'crm', '--spec', 'customers.toml', '--server', `http://${world.addresses.grpc}`], 'ignore');
  const put = (raw) => new Promise((resolve, reject) => {
    const body = JSON.stringify({ tenant: 'acme', key: 'customer-1', raw: Buffer.from(raw).toString('base64') });
    const request = http.request({ socketPath: socket, path: '/api/v1/Put', method: 'POST' }, (answer) => { answer.resume(); resolve(answer.statusCode === 200); });
    request.on('error', reject);
    request.end(body);
  });
  await world.eventually('a record is written that the target can\'t store', () => put('a secret that is no document'));
  sidecar.kill('SIGTERM');
  await assert.rejects(world.cli('backfill', 'customers.toml'), 'it is not clean');
  await open('m/customers');
  const passes = page.getByRole('region', { name: 'Passes' });
  await passes.getByText('not clean').first().waitFor();
  await passes.getByText(/\d quarantined/).first().waitFor();
  await passes.getByText(/reasons?$/).first().click();
  await passes.getByText(/^quarantined "acme"\/"customer-1": .*no typed JSON/).waitFor();
  assert.equal(await page.getByText('secret').count(), 0, 'values stay in the process that meets them');
  await look('steer-quarantine');
  await world.eventually('the sidecar has gone', () => sidecar.exitCode === 0);
  await open('m/orders');
  page.assertFine();
});

test('every range has an address, and shows what was reported', async () => {
  await world.cli('ramp', 'orders', '--target-first', '25', '--wait');
  await world.settled('orders', { RUNG_TARGET_FIRST: ALL / 4 });
  for (const [name, text] of [['1h', '1 h'], ['24h', '24 h'], ['7d', '7 d'], ['90d', '90 d'], ['10m', '10 min']]) {
    await page.getByRole('navigation', { name: 'Range' }).getByRole('link', { name: text, exact: true }).click();
    await page.locator('.ranges [aria-current=true]').getByText(text, { exact: true }).waitFor();
    assert.equal(new URL(page.url()).hash.includes(`range=${name}`), name !== '10m', 'the range is in the address');
    await page.locator('.chart .plot canvas').first().waitFor();
    const label = await page.locator('.chart .plot').first().getAttribute('aria-label');
    assert.match(label, /^Reads and copied records per second, stacked\..*hit \d/);
    await screenshot(page, `steer-range-${name}`);
  }
  page.assertFine();
});

test('one tenant is explained, rolled back alone, and followed', async () => {
  const { shares } = await world.status('orders');
  await open('m/orders/tenants?tenant=tenant-7');
  await page.getByText('its bucket is').waitFor();
  await button('Roll back this tenant').click();
  await dialog().getByText(/^Tenant tenant-7: .+ → .+\.$/).waitFor();
  assert.equal(await dialog().getByText(/% of the tenants/).count(), 0, 'nobody else moves');
  await screenshot(page, 'steer-tenant-asked');
  await confirm('Roll back tenant-7', 'their data looks wrong, INC-3');
  await dialog().getByRole('heading', { name: 'Rolled back', exact: true }).waitFor({ timeout: 30_000 });
  assert.equal(await page.evaluate(() => document.activeElement.closest('dialog') !== null), true, 'the focus stays in the dialog');
  await dialog().getByRole('button', { name: 'Close' }).click();
  await page.getByText(/^kept at .+ or below$/).waitFor();
  await page.getByText('1 tenant of orders is rolled back').first().waitFor();
  await look('steer-tenant');
  assert.deepEqual((await world.status('orders')).shares, shares, 'only tenant-7 moved');
  await world.cli('ack', 'orders', '--reason', 'repaired');
  page.assertFine();
});

test('what a rollback would do is shown anew when something changes meanwhile', async () => {
  await open('m/orders');
  await button('Roll back').click();
  await dialog().getByText(/^25 % of the tenants: target-first → mirrored → dual\.$/).waitFor();
  await dialog().getByLabel('Reason', { exact: true }).fill('half written');
  await world.cli('ramp', 'orders', '--target-first', '10', '--wait');
  await dialog().getByText(/^10 % of the tenants: target-first → mirrored → dual\.$/).waitFor();
  assert.equal(await dialog().getByLabel('Reason', { exact: true }).inputValue(), 'half written');
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'hidden' });
  page.assertFine();
});

test('callers without an SDK are shown, waited for, and said to follow a rollback', async () => {
  await open('m/orders');
  const instances = page.getByRole('region', { name: 'Instances' });
  assert.equal(await instances.getByText('Callers without an SDK').count(), 0, 'nobody has asked');
  const asking = setInterval(() => {
    fetch(`${world.url}/ofrep/v1/evaluate/flags/orders`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"context":{"targetingKey":"acme"}}' });
  }, 500);
  try {
    await instances.getByText('Callers without an SDK').waitFor();
    await instances.getByText(/ask by Decide or OpenFeature, last \d s ago/).waitFor();
    await button('Roll back').click();
    await dialog().getByText(/target-first → mirrored → dual\.$/).waitFor();
    await dialog().getByText(/Callers without an SDK, who asked last \d s ago/).waitFor();
    await assertAccessible(page, 'a rollback that callers follow');
    await screenshot(page, 'steer-callers-asked');
    await confirm('Roll back orders', 'errors, INC-4');
    await dialog().getByText('Callers without an SDK follow within 11 s').waitFor();
    await screenshot(page, 'steer-callers-following');
    await page.locator('.gist').getByText('callers without an SDK follow within 11 s').waitFor();
    await dialog().getByRole('heading', { name: 'Rolled back', exact: true }).waitFor({ timeout: 60_000 });
    const status = await world.status('orders');
    assert.ok(status.settled && status.callers.settled);
    await dialog().getByRole('button', { name: 'Close' }).click();
    await look('steer-callers');
  } finally {
    clearInterval(asking);
  }
  await world.eventually('they are forgotten once their answers have expired', async () => !(await world.status('orders')).callers);
  await instances.getByText('Callers without an SDK').waitFor({ state: 'hidden' });
  await world.cli('ack', 'orders', '--reason', 'repaired');
  page.assertFine();
});

test('a change that is older than a page of the history is reached by its address, by the filter and by paging', async () => {
  const call = async (method, reason) => {
    const mutation = { actor: 'operator:script', reason };
    const answer = await fetch(`${world.url}/api/v1/${method}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ key: 'orders', mutation }) });
    assert.equal(answer.status, 200, await answer.text());
  };
  for (let at = 0; at < 60; at++) {
    await call('Pause', `round ${at}`);
    await call('Resume', `round ${at}`);
  }
  const first = JSON.parse((await world.cli('history', 'orders', '--export')).split('\n')[0]);
  await open(`m/orders/history?r=${first.revision}`);
  await page.locator('tr.chosen').getByText('the first change').waitFor();
  await page.getByText(`Changes up to r${first.revision}.`).waitFor();
  await look('steer-history-old');
  await button('Show the newest').click();
  await page.locator('tr.event').getByText('round 59').first().waitFor();
  assert.equal(await page.locator('tr.event').count(), 100);

  await page.getByLabel('Find').fill('THE FIRST');
  await page.locator('tr.event').getByText('the first change').waitFor();
  assert.equal(await page.locator('tr.event').count(), 1, 'the controller searches, also where the page has not been');
  await page.getByLabel('Find').fill('no such text');
  await page.getByText('No change matches.').waitFor();
  await page.getByLabel('Find').fill('');

  await page.locator('tr.event').getByText('round 59').first().waitFor();
  await button('Show older changes').click();
  await page.locator('tr.event').getByText('the first change').waitFor();
  const shown = await page.locator('tr.event').count();
  assert.ok(shown > 120, `${shown} changes`);
  await call('Pause', 'while somebody reads');
  await page.locator('tr.event').getByText('while somebody reads').waitFor();
  assert.equal(await page.locator('tr.event').count(), shown + 1, 'a new change does not take the old pages away');
  await call('Resume', 'over');
  page.assertFine();
});

test('with every event stream taken, the overview and a migration are read instead', async () => {
  const held = [];
  try {
    for (;;) {
      const abort = new AbortController();
      const answer = await fetch(`${world.url}/api/v1/WatchStatus?key=orders`, { headers: { accept: 'text/event-stream' }, signal: abort.signal });
      if (answer.status === 429) break;
      held.push(abort);
    }
    assert.ok(held.length > 50, `${held.length} streams`);
    const other = await browser.page();
    for (const [hash, text] of [['', 'orders is'], ['m/orders', 'Where tenants stand']]) {
      await other.goto(`${world.url}/console/#/${hash}`);
      await other.getByText(text).first().waitFor();
      await other.getByText('Live', { exact: true }).waitFor();
    }
    other.assertFine();
    await other.close();
  } finally {
    held.forEach((abort) => abort.abort());
  }
});
