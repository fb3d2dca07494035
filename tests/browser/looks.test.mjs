// How the console looks at every width and in both themes, what it weighs, and that a keyboard is enough.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Browser, assertAccessible, assertFits, screenshot } from './browser.mjs';
import { World } from './world.mjs';

const WIDTHS = [[360, 740], [1280, 800], [2560, 1440]];
const KIB = 1024;
let world, browser;

before(async () => {
  world = await World.start();
  await world.cli('create', 'orders', '--source', 'orders in DynamoDB', '--target', 'orders in MariaDB');
  await world.cli('create', 'invoices', '--source', 'invoices in MySQL 5.7', '--target', 'invoices in PostgreSQL 17');
  await world.cli('create', 'sessions', '--source', 'Redis', '--target', 'DynamoDB');
  world.startWorkers();
  await world.cli('ramp', 'invoices', '--dual', '100');
  await world.cli('pause', 'invoices', '--reason', 'quarter end, CHG-4711', '--actor', 'operator:ada');
  await world.cli('ramp', 'orders', '--mirrored', '100', '--wait');
  await world.settled('orders', { RUNG_MIRRORED: 1_000_000 });
  await world.cli('backfill', 'stores.toml');
  await world.cli('ramp', 'orders', '--target-first', '25', '--wait', '--reason', 'CHG-4712', '--actor', 'operator:ada');
  await world.settled('orders', { RUNG_TARGET_FIRST: 250_000 });
  browser = await Browser.start();
});

after(async () => {
  await browser?.stop();
  await world?.stop();
});

const VIEWS = [
  ['overview', '', 'orders is idle'],
  ['migration', 'm/orders', 'p99'],
  ['history', 'm/orders/history', 'CHG-4712'],
  ['tenants', 'm/orders/tenants?tenant=tenant-7', 'its bucket is'],
];

for (const theme of ['light', 'dark']) {
  for (const [width, height] of WIDTHS) {
    test(`every view fits ${width} px, ${theme}, and is accessible`, async () => {
      const page = await browser.page();
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height });
      for (const [name, hash, text] of VIEWS) {
        await page.goto(`${world.url}/console/#/${hash}`);
        await page.getByText(text).first().waitFor();
        await screenshot(page, `${name}-${width}-${theme}`);
        await assertFits(page, `${name} at ${width} px`);
        await assertAccessible(page, `${name} at ${width} px, ${theme}`);
      }
      await page.getByRole('button', { name: 'Roll back', exact: true }).click();
      await page.getByText('What is lost').waitFor();
      await screenshot(page, `rollback-${width}-${theme}`);
      await assertAccessible(page, `rollback at ${width} px, ${theme}`);
      page.assertFine();
      await page.close();
    });
  }
}

test('it weighs less than 200 KB, and preloads what it needs', async () => {
  const page = await browser.page();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Network.enable');
  let bytes = 0;
  devtools.on('Network.loadingFinished', (event) => { bytes += event.encodedDataLength; });
  const took = [];
  for (let round = 0; round < 5; round++) {
    await devtools.send('Network.clearBrowserCache');
    bytes = 0;
    await page.goto('about:blank');
    await page.goto(`${world.url}/console/#/m/orders`, { waitUntil: 'commit' });
    await page.locator('.gist').waitFor();
    took.push(await page.evaluate(() => performance.now()));
    await page.getByText('p99').first().waitFor();
  }
  const late = await page.evaluate(() => performance.getEntriesByType('resource').map((entry) => entry.name)
    .filter((name) => /\.m?js$/.test(name) && !document.querySelector(`link[rel="modulepreload"][href="${new URL(name).pathname.slice('/console/'.length)}"]`)));
  assert.deepEqual(late, [], 'index.html preloads every module');
  took.sort((a, b) => a - b);
  console.log(`${Math.round(bytes / KIB)} KiB, first sentence after ${took.map(Math.round).join(', ')} ms`);
  // A debug build hashes and compresses each file without optimization.
  if (process.env.CUTOVER_TEST_BINARY.includes('/release/')) assert.ok(took[2] < 300, `${took.map(Math.round)} ms`);
  assert.ok(bytes > 20 * KIB && bytes < 200_000, `${bytes} bytes`);
  await page.close();
});

test('a keyboard reaches the rollback, and comes back to where it was', async () => {
  const page = await browser.page();
  await page.goto(`${world.url}/console/#/m/orders`);
  await page.locator('.gist').waitFor();
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  for (let presses = 0; (await focused()) !== 'Roll back'; presses++) {
    assert.ok(presses < 15, 'Roll back is among the first stops');
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.closest('dialog') !== null), true);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  assert.equal(await focused(), 'Roll back');
  page.assertFine();
  await page.close();
});

const TEXTS = [
  ...['text', 'muted', 'accent', 'alarm', 'wait', 'calm'].flatMap((of) => ['page', 'surface', 'sunken'].map((on) => [of, on])),
  ['alarm', 'alarm-soft'], ['wait', 'wait-soft'], ['text', 'wait-soft'], ['calm', 'calm-soft'],
  ['accent-text', 'accent'], ['danger-text', 'danger'], ['page', 'text'],
];
const SHAPES = [
  'source-only', 'dual', 'mirrored', 'hold', 'target-first', 'target-only', 'hit', 'miss', 'not-found', 'backfill',
  'source', 'target', 'calm', 'wait', 'alarm', 'edge', 'focus', 'accent', 'danger',
].flatMap((of) => ['surface', 'sunken'].map((on) => [of, on]));

for (const theme of ['light', 'dark']) {
  test(`text has a contrast of 4.5, and every bar, line and border one of 3, ${theme}`, async () => {
    const page = await browser.page();
    await page.emulateMedia({ colorScheme: theme });
    await page.goto(`${world.url}/console/`);
    const names = [...new Set([...TEXTS, ...SHAPES].flat())];
    const colours = await page.evaluate((all) => Object.fromEntries(all.map((name) => [name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()])), names);
    const light = (name) => {
      assert.match(colours[name], /^#[0-9a-f]{6}$/, name);
      const parts = [1, 3, 5].map((at) => parseInt(colours[name].slice(at, at + 2), 16) / 255);
      const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const contrast = ([a, b]) => {
      const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
      return (high + 0.05) / (low + 0.05);
    };
    const low = (pairs, least) => pairs.filter((pair) => contrast(pair) < least).map((pair) => `${pair.join(' on ')}: ${contrast(pair).toFixed(2)}`);
    assert.deepEqual([...low(TEXTS, 4.5), ...low(SHAPES, 3)], []);
    await page.close();
  });
}

test('the focus goes down the page in order, and stays in a dialog', async () => {
  const page = await browser.page();
  for (const [, hash, text] of VIEWS) {
    await page.goto(`${world.url}/console/#/${hash}`);
    await page.getByText(text).first().waitFor();
    assert.equal(await page.locator('[tabindex]:not([tabindex="0"]):not([tabindex="-1"])').count(), 0, 'the order is that of the document');
  }
  await page.goto(`${world.url}/console/#/m/orders`);
  await page.getByRole('button', { name: 'Roll back', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('What is lost').waitFor();
  const stops = new Set();
  for (let presses = 0; presses < 20; presses++) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => {
      const it = document.activeElement;
      // Between the last and the first stop the browser's own controls may have it.
      return it === document.body ? 'browser' : it.closest('dialog') ? it.outerHTML.slice(0, 60) : `outside: ${it.outerHTML.slice(0, 60)}`;
    });
    assert.ok(!stop.startsWith('outside'), stop);
    stops.add(stop);
  }
  assert.ok(stops.size >= 3, [...stops].join('\n'));
  await page.keyboard.press('Escape');
  page.assertFine();
  await page.close();
});
