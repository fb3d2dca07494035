// `cutover demo --web` opens its story in the console, and keeps it there until it is interrupted.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Browser, assertAccessible, screenshot } from './browser.mjs';

test('the demo opens the console, which shows the story to its end', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cutover-demo-'));
  // What would open a browser writes down what it was asked for.
  const opened = path.join(dir, 'opened');
  for (const name of ['xdg-open', 'open']) fs.writeFileSync(path.join(dir, name), `#!/bin/sh\necho "$1" > ${opened}.new && mv ${opened}.new ${opened}\n`, { mode: 0o755 });
  const demo = spawn(process.env.CUTOVER_TEST_BINARY, ['demo', '--web', '--headless', '--seconds', '40s'], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, PATH: `${dir}:${process.env.PATH}` } });
  let told = '';
  demo.stdout.on('data', (chunk) => { told += chunk; });
  demo.stderr.on('data', (chunk) => { told += chunk; });
  const ended = new Promise((resolve) => { demo.once('exit', resolve); });
  const browser = await Browser.start();
  try {
    const eventually = async (what, holds, seconds) => {
      for (const end = Date.now() + seconds * 1000; !holds();) {
        assert.ok(Date.now() < end && demo.exitCode === null, `${what}: ${told}`);
        await new Promise((resolve) => { setTimeout(resolve, 50); });
      }
    };
    await eventually('it opens a browser', () => fs.existsSync(opened), 60);
    const address = fs.readFileSync(opened, 'utf8').trim();
    assert.ok(told.includes(`follow it at ${address}`), told);
    const page = await browser.page({ awayIsFine: true });
    await page.goto(address);
    await page.getByRole('heading', { name: 'orders', exact: true, level: 1 }).waitFor();
    // The headline says so for less than a second in a demo this short; the trip is told from then on.
    await page.getByText(/rolled back to dual/i).first().waitFor({ timeout: 120_000 });
    await screenshot(page, 'demo-rolled-back');
    await eventually('the story ends', () => told.includes('the story is over'), 180);
    await page.getByText('Live', { exact: true }).waitFor();
    await page.locator('.chart .plot canvas').first().waitFor();
    await screenshot(page, 'demo-over');
    await assertAccessible(page, 'the end of the demo');
    page.assertFine();
    demo.kill('SIGINT');
    assert.equal(await ended, 0, told);
    assert.match(told, /0 lost, 0 resurrected, 0 back in time/);
  } finally {
    await browser.stop();
    demo.kill('SIGTERM');
    await ended;
    fs.rmSync(dir, { recursive: true, force: true });
  }
});
