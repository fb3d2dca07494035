// Chromium, and what is asked of every page: no error, no violation of accessibility, nothing that is cut off.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

const require = createRequire(`${process.env.CUTOVER_TEST_PACKAGES}/`);
const { chromium } = require('playwright-core');
const axe = require('axe-core').source;

// It must not look for anything outside: the console is on loopback.
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

export class Browser {
  static async start() {
    const browser = new Browser();
    browser.profile = fs.mkdtempSync(path.join(os.tmpdir(), 'cutover-chromium-'));
    browser.context = await chromium.launchPersistentContext(browser.profile, {
      executablePath: process.env.CUTOVER_TEST_CHROMIUM,
      args: FLAGS,
      viewport: { width: 1280, height: 800 },
    });
    browser.context.setDefaultTimeout(15_000);
    return browser;
  }

  /** A page whose errors fail the test at `page.assertFine()`. */
  async page({ awayIsFine = false } = {}) {
    const page = await this.context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => {
      const isAway = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED/.test(message.text());
      // A refused dry run is an answer, which Chromium logs as a failed load.
      const isRefusal = /status of 4\d\d/.test(message.text()) && message.location().url.includes('/api/v1/');
      if (message.type() === 'error' && !isRefusal && !(isAway && awayIsFine)) errors.push(message.text());
    });
    page.on('request', (request) => {
      if (!/^(http:\/\/127\.0\.0\.1|data:|blob:)/.test(request.url())) errors.push(`asked for ${request.url()}`);
    });
    page.assertFine = () => assert.deepEqual(errors, []);
    return page;
  }

  async stop() {
    await this.context.close();
    fs.rmSync(this.profile, { recursive: true, force: true });
  }
}

export async function screenshot(page, name) {
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: path.join(process.env.CUTOVER_TEST_SCREENSHOTS, `${name}.png`), fullPage: !(await page.getByRole('dialog').isVisible()) });
}

/** No violation of WCAG 2.2 AA. */
export async function assertAccessible(page, name) {
  // Evaluated by the debugger, which the page's policy does not restrict.
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    resultTypes: ['violations'],
  }));
  const violations = found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => `${node.html.slice(0, 160)} (${node.failureSummary})`).join('; ')}`);
  assert.deepEqual(violations, [], name);
}

export async function assertFits(page, name) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(over <= 0, `${name} is ${over} px wider than the window`);
}
