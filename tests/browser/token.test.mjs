// The console of a controller that requires a token.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Browser, assertAccessible, assertFits, screenshot } from './browser.mjs';
import { acts } from './operator.mjs';
import { World } from './world.mjs';

let world, browser, page, ada;

before(async () => {
  world = await World.start();
  await world.cli('create', 'orders', '--source', 'old', '--target', 'new');
  process.env.CUTOVER_TOKEN = await world.close();
  ada = (await world.cli('token', 'create', 'ada', '--role', 'operator')).trim();
  browser = await Browser.start();
  page = await browser.page();
});

after(async () => {
  delete process.env.CUTOVER_TOKEN;
  await browser?.stop();
  await world?.stop();
});

const { open, dialog, button, confirm } = acts(() => page, () => world);
const heading = () => page.getByRole('heading', { name: 'This controller requires a token' });

async function give(text) {
  await page.getByLabel('Token').fill(text);
  await button('Continue').click();
}

test('it asks for a token, and refuses a wrong one', async () => {
  await open('');
  await heading().waitFor();
  await assertAccessible(page, 'login');
  await assertFits(page, 'login');
  await screenshot(page, 'login');
  await give(`cutover_${'0'.repeat(64)}`);
  await page.getByText('the token is not known').waitFor();
});

test('with a token it shows and follows everything', async () => {
  await give(ada);
  await page.getByText('orders is idle').waitFor();
  await world.cli('pause', 'orders', '--reason', 'it is followed');
  await page.getByText('orders is paused by token:root').waitFor();
  await page.reload();
  await page.getByText('orders is paused by token:root').waitFor();
});

test('the history names the token, and nobody is asked for a name', async () => {
  await open('m/orders');
  await button('Resume').first().click();
  assert.equal(await dialog().getByLabel('Your name').count(), 0);
  await confirm('Resume', 'by the console');
  const last = async () => JSON.parse((await world.cli('history', 'orders', '--json')).split('\n')[0]);
  await world.eventually('it is resumed', async () => (await last()).reason === 'by the console');
  assert.equal((await last()).actor, 'token:ada');
});

test('the token is in no cookie and no address, and is forgotten on request', async () => {
  assert.deepEqual(await browser.context.cookies(), []);
  assert.ok(!page.url().includes(ada));
  assert.ok(!(await page.evaluate(() => JSON.stringify(localStorage))).includes(ada));
  await button('Forget it').click();
  await heading().waitFor();
  const other = await browser.page();
  await other.goto(`${world.url}/console/`);
  await other.getByRole('heading', { name: 'This controller requires a token' }).waitFor();
  page.assertFine();
});

test('a revoked token ends what is shown', async () => {
  await give(ada);
  await page.getByRole('heading', { name: 'orders' }).first().waitFor();
  await world.cli('token', 'revoke', 'ada', '--reason', 'left');
  await heading().waitFor({ timeout: 10_000 });
});
