// What an operator does in the console, from the first ramp to a rollback, against a live controller.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { Browser, assertAccessible, screenshot } from './browser.mjs';
import { acts } from './operator.mjs';
import { World } from './world.mjs';

const ALL = 1_000_000;
let world, browser, page;

before(async () => {
  world = await World.start();
  await world.cli('create', 'orders', '--source', 'orders in DynamoDB', '--target', 'orders in MariaDB');
  await world.cli('create', 'invoices', '--source', 'invoices in MySQL', '--target', 'invoices in PostgreSQL');
  world.startWorkers();
  await world.eventually('three workers are registered', async () => (await world.status('orders')).instances.length === 3);
  browser = await Browser.start();
  page = await browser.page();
});

after(async () => {
  await browser?.stop();
  await world?.stop();
});

const { open, dialog, button, confirm, setShares } = acts(() => page, () => world);

test('the overview shows first what needs somebody', async () => {
  await world.cli('pause', 'orders', '--reason', 'before the quarter ends', '--actor', 'operator:ada');
  await open('');
  await page.getByText('orders is paused by operator:ada').waitFor();
  assert.deepEqual(await page.locator('.migrations h2').allTextContents(), ['orders', 'invoices']);
  assert.match(await page.locator('h1').textContent(), /2 migrations, 1 needs somebody/);
  await world.cli('resume', 'orders');
  await page.getByText('orders is idle').waitFor();
  page.assertFine();
});

test('an address that names no migration says so', async () => {
  for (const key of ['nothing', '%']) {
    await open(`m/${key}`);
    await page.getByRole('link', { name: 'Show all migrations' }).waitFor();
    assert.equal(await page.locator('h1').textContent(), key);
    assert.equal(await page.locator('.top .live').textContent(), '', 'the controller answers');
  }
  await open('');
  await page.getByText('orders is idle').waitFor();
});

test('tabs that nobody sees leave the connections to the one in front', async () => {
  const hide = (is) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => is });
    document.dispatchEvent(new Event('visibilitychange'));
  };
  const tabs = [];
  for (let count = 0; count < 7; count += 1) {
    const tab = await browser.page();
    await tab.goto(`${world.url}/console/`);
    await tab.getByText('orders is idle').waitFor({ timeout: 10_000 });
    await tab.evaluate(hide, true);
    tabs.push(tab);
  }
  await world.cli('pause', 'orders', '--reason', 'nobody looks', '--actor', 'operator:ada');
  await tabs[0].evaluate(hide, false);
  await tabs[0].getByText('orders is paused by operator:ada').waitFor({ timeout: 10_000 });
  await world.cli('resume', 'orders');
  await Promise.all(tabs.map((tab) => tab.close()));
});

test('a ramp is a dry run, a reason and a click', async () => {
  await page.getByRole('link', { name: 'orders', exact: true }).click();
  await setShares({ dual: 100 });
  await dialog().getByText('asked for dual 100 %').waitFor();
  assert.equal((await world.status('orders')).migration.rollout.dual_ppm, 0, 'a dry run changes nothing');
  assert.ok(await dialog().getByRole('button', { name: 'Change the shares', exact: true }).isDisabled(), 'a reason is missing');
  await confirm('Change the shares', 'CHG-4711');
  await world.settled('orders', { RUNG_DUAL: ALL });
  const history = await world.cli('history', 'orders', '--json');
  assert.match(history, /"actor":"operator:ada"/);
  assert.match(history, /"reason":"CHG-4711"/);
  await setShares({ mirrored: 100 }, true);
  await confirm('Change the shares', 'CHG-4711, second part');
  await world.settled('orders', { RUNG_MIRRORED: ALL });
  await page.getByText('100 % mirrored, settled').waitFor();
  page.assertFine();
});

test('a refused step lists every unmet gate with its command, and cannot be confirmed', async () => {
  await setShares({ 'target-first': 25 });
  await dialog().getByText('Refused').waitFor();
  await dialog().getByText('full pass').first().waitFor();
  await dialog().getByText('cutover backfill SPEC').first().waitFor();
  await dialog().getByText('25 % of the tenants, mirrored -> target-first').first().waitFor();
  await dialog().getByLabel('Reason', { exact: true }).fill('in a hurry');
  assert.ok(await dialog().getByRole('button', { name: 'Change the shares', exact: true }).isDisabled());
  await assertAccessible(page, 'a refusal');
  await screenshot(page, 'story-refused');
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'hidden' });
  page.assertFine();
});

test('a plan waits for approval, which is a click', async () => {
  await world.cli('backfill', 'stores.toml');
  fs.writeFileSync(world.file('ramp.yaml'), `steps:
  - { stage: dual, percent: 100, evidence: none }
  - { stage: mirrored, percent: 100, evidence: none }
  - { stage: target-first, percent: 50, bake: 1h, evidence: none, approval: true }
  - { stage: target-first, percent: 100, bake: 1h, approval: true }
`);
  await world.cli('plan', 'apply', 'orders', 'ramp.yaml', '--reason', 'CHG-4711');
  // That it has settled is a change as well, and what a dialog shows is about one revision.
  await world.eventually('step 2 has settled', async () => Number((await world.status('orders')).plan.taken[1]?.settled_at_ms) > 0);
  await button('Approve step 3').last().click();
  await confirm('Approve step 3', 'the passes are clean');
  await world.settled('orders', { RUNG_TARGET_FIRST: ALL / 2 });
  await page.getByText('3 of 4 steps taken').first().waitFor();
  page.assertFine();
});

test('a trip is told with its counts, and acknowledged', async () => {
  world.setFault(true);
  await page.getByText('orders is rolled back to dual').waitFor({ timeout: 60_000 });
  await page.getByText(/\d+ of \d+ target (reads|writes) failed/).first().waitFor();
  await page.locator('.marks').getByText('rolled back to dual:').waitFor();
  await screenshot(page, 'story-tripped');
  await assertAccessible(page, 'a trip');
  world.setFault(false);
  await world.settled('orders', { RUNG_DUAL: ALL });
  await button('Acknowledge').click();
  await confirm('Acknowledge', 'the target was restarted');
  await world.eventually('it is acknowledged', async () => (await world.status('orders')).migration.state !== 'STATE_TRIPPED');
  page.assertFine();
});

test('a rollback says what happens, and is watched until everybody follows', async () => {
  await world.cli('plan', 'stop', 'orders');
  await world.cli('ramp', 'orders', '--mirrored', '100', '--wait');
  await world.settled('orders', { RUNG_MIRRORED: ALL });
  await world.cli('backfill', 'stores.toml');
  await world.cli('ramp', 'orders', '--target-first', '25', '--wait');
  await world.settled('orders', { RUNG_TARGET_FIRST: ALL / 4 });
  await page.getByText('25 % target-first').first().waitFor();
  await button('Roll back').click();
  await dialog().getByText(/25 % of the tenants.*: target-first → mirrored/).waitFor();
  await dialog().getByText('until all are at dual or lower').waitFor();
  await dialog().getByText('Nothing is lost').waitFor();
  await dialog().getByText('3 instances at once').waitFor();
  await page.setViewportSize({ width: 360, height: 740 });
  const verb = await dialog().getByRole('button', { name: 'Roll back orders' }).boundingBox();
  assert.ok(verb.y >= 0 && verb.y + verb.height <= 740, `the button is seen: ${JSON.stringify(verb)}`);
  await screenshot(page, 'story-rollback-asked-360');
  await page.setViewportSize({ width: 1280, height: 800 });
  await screenshot(page, 'story-rollback-asked');
  await confirm('Roll back orders', 'callers see errors, INC-17');
  await dialog().getByText('All 3 instances follow').waitFor();
  const status = await world.settled('orders', { RUNG_DUAL: ALL });
  assert.equal(status.migration.state, 'STATE_TRIPPED');
  await screenshot(page, 'story-rollback-followed');
  await dialog().getByRole('button', { name: 'Close' }).click();
  await page.getByText('INC-17').first().waitFor();
  await page.locator('.marks').getByText(/rolled back to .*25 % of the tenants/).first().waitFor();
  page.assertFine();
});

test('a rollback says who stays because only the target has their writes', async () => {
  await world.cli('ack', 'orders', '--reason', 'repaired');
  await world.cli('ramp', 'orders', '--mirrored', '100', '--wait');
  await world.settled('orders', { RUNG_MIRRORED: ALL });
  await world.cli('backfill', 'stores.toml');
  await world.cli('ramp', 'orders', '--target-first', '100', '--wait');
  await world.settled('orders', { RUNG_TARGET_FIRST: ALL });
  await world.cli('backfill', 'stores.toml');
  await world.cli('ramp', 'orders', '--target-only', '10', '--wait');
  await world.settled('orders', { RUNG_TARGET_ONLY: ALL / 10 });
  await world.cli('ramp', 'orders', '--target-only', '0', '--wait');
  await world.settled('orders', { RUNG_TARGET_FIRST: ALL });
  await button('Roll back').click();
  await dialog().getByText('Who stays').waitFor();
  await dialog().getByText('writes that only the target has would be lost').first().waitFor();
  assert.equal(await dialog().getByText('the source has every acknowledged write').count(), 0);
  await assertAccessible(page, 'a rollback that some do not follow');
  await screenshot(page, 'story-rollback-floor');
  await dialog().getByLabel('Your name').waitFor({ state: 'hidden' });
  await confirm('Roll back orders', 'some have to stay');
  await dialog().getByText('These stay until their writes are copied back').waitFor();
  await screenshot(page, 'story-rollback-floor-followed');
  await dialog().getByRole('button', { name: 'Close' }).click();
  await world.cli('reverse', 'stores.toml');
  await world.settled('orders', { RUNG_DUAL: ALL });
  page.assertFine();
});

test('a name is what people are called, and an unknown range is the first', async () => {
  await page.getByRole('button', { name: 'Change', exact: true }).click();
  await open('m/orders/now?range=constructor');
  await page.locator('.ranges [aria-current=true]').getByText('10 min').waitFor();
  await button('Acknowledge').click();
  await dialog().getByLabel('Your name').fill('José Núñez');
  await dialog().getByLabel('Reason', { exact: true }).fill('the target was restarted');
  await dialog().getByRole('button', { name: 'Acknowledge', exact: true }).click();
  await page.getByText('Acting as José Núñez').waitFor();
  page.assertFine();
});

test('the history is filtered, and every change has an address', async () => {
  await page.getByRole('link', { name: 'History', exact: true }).click();
  await page.getByLabel('Find').fill('INC-17');
  const rows = page.locator('tr.event');
  await world.eventually('one change is left', async () => (await rows.count()) === 1);
  await rows.getByRole('link').first().click();
  const address = page.url();
  const second = await browser.page();
  await second.goto(address);
  await second.locator('tr.chosen').getByText('INC-17').waitFor();
  second.assertFine();
  await second.close();
});

test('a tenant is explained, pinned and unpinned', async () => {
  await open('m/orders/tenants');
  await page.getByRole('searchbox', { name: 'Tenant' }).fill('tenant-7');
  await button('Explain').click();
  await page.getByText('its bucket is').waitFor();
  await page.getByLabel('Pin to').selectOption('source-only');
  await button('Pin').click();
  await confirm('Pin it', 'their own maintenance');
  await page.locator('table').getByText('tenant-7').waitFor();
  await button('Unpin tenant-7').click();
  await confirm('Unpin it', 'over');
  await page.getByText('No tenant is pinned').waitFor();
  page.assertFine();
});

test('finishing and abandoning are refused with every condition, and confirmed by the key', async () => {
  await open('m/orders');
  await button('Finish').click();
  await dialog().getByText('Refused').waitFor();
  await dialog().getByLabel('Reason', { exact: true }).fill('in a hurry');
  await dialog().getByLabel('Type orders to confirm').fill('orders');
  assert.ok(await dialog().getByRole('button', { name: 'Finish it for good' }).isDisabled());
  await assertAccessible(page, 'a refused finish');
  await screenshot(page, 'story-finish-refused');
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'hidden' });

  await world.cli('ramp', 'invoices', '--dual', '100', '--wait');
  await world.settled('invoices', { RUNG_DUAL: ALL });
  await world.cli('rollback', 'invoices', '--reason', 'given up');
  await world.settled('invoices', { RUNG_SOURCE_ONLY: ALL });
  await open('m/invoices');
  await button('Abandon').click();
  await dialog().getByText('abandoned: everybody stays at source-only').waitFor();
  await dialog().getByLabel('Reason', { exact: true }).fill('PostgreSQL is not coming');
  const abandon = dialog().getByRole('button', { name: 'Abandon it for good' });
  assert.ok(await abandon.isDisabled(), 'the key is missing');
  await dialog().getByLabel('Type invoices to confirm').fill('invoices');
  await assertAccessible(page, 'abandoning');
  await screenshot(page, 'story-abandon');
  await abandon.click();
  await world.eventually('it is abandoned', async () => (await world.status('invoices')).migration.state === 'STATE_ABANDONED');
  await button('Abandon').waitFor({ state: 'hidden' });
  page.assertFine();
});

test('a lost instance is evicted with a reason, and only while it is lost', async () => {
  await open('m/orders');
  assert.equal(await page.getByRole('button', { name: /^Evict/ }).count(), 0, 'nobody is lost');
  await world.killWorker();
  await page.getByRole('button', { name: /^Evict/ }).click({ timeout: 60_000 });
  await dialog().getByText('Evict it only if its process has ended').waitFor();
  assert.ok(await dialog().getByRole('button', { name: 'Evict it', exact: true }).isDisabled(), 'a reason is missing');
  await assertAccessible(page, 'an eviction');
  await screenshot(page, 'story-evict');
  await confirm('Evict it', 'its process was killed');
  await world.eventually('two are left', async () => (await world.status('orders')).instances.length === 2);
  await page.getByText(/^Evicted /).waitFor();
  assert.match(await world.cli('history', 'orders', '--json'), /its process was killed/);
  page.assertFine();
});

test('without the controller it says how old its data is, and resumes by itself', async () => {
  const other = await browser.page({ awayIsFine: true });
  await other.goto(`${world.url}/console/#/m/orders`);
  await other.getByText('Live').waitFor();
  await world.killController();
  await other.locator('.banner').getByText('The controller does not answer.').waitFor();
  await other.getByText(/from \d\d:\d\d:\d\d, \d+ s ago/).waitFor();
  await screenshot(other, 'story-away');
  await world.startController();
  await other.getByText('Live').waitFor();
  await other.locator('.banner').waitFor({ state: 'hidden' });
  other.assertFine();
});
