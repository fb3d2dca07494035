// A controller with the demo's workers, as processes that can be killed, and whose target can be made to fail.
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const BINARY = process.env.CUTOVER_TEST_BINARY;
const WORKERS = 3;

export class World {
  static async start() {
    const world = new World();
    world.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'cutover-browser-'));
    world.children = [];
    world.addresses = { grpc: '127.0.0.1:0', http: '127.0.0.1:0' };
    const side = (name) => `[${name}]\nurl = "sqlite:${world.dir}/${name}.db"\ntable = "records"\n`;
    fs.writeFileSync(world.file('stores.toml'), `migration = "orders"\n${side('source')}${side('target')}`);
    await world.startController();
    return world;
  }

  file(name) {
    return path.join(this.dir, name);
  }

  /** Again at the same addresses, if it has run before. */
  async startController() {
    const { grpc, http } = this.addresses;
    const args = ['serve', '--store', `sqlite:${this.file('cutover.db')}`, '--grpc', grpc, '--http', http, '--log-format', 'json'];
    this.controller = this.spawn(args, ['ignore', 'ignore', 'pipe']);
    const { fields } = await firstLine(this.controller.stderr, (line) => JSON.parse(line).fields?.message === 'serving');
    this.addresses = { grpc: fields.grpc, http: fields.http };
    this.controller.stderr.resume();
    this.url = `http://${fields.http}`;
    // The HTTP port is bound before it is served.
    await this.eventually('the controller is ready', async () => (await fetch(`${this.url}/readyz`)).ok);
  }

  /** Starts again with an admin's token in the store, which is returned. */
  async close() {
    await ended(this.controller, 'SIGTERM');
    const store = `sqlite:${this.file('cutover.db')}`;
    const token = await this.cli('token', 'create', 'root', '--role', 'admin', '--store', store);
    await this.startController();
    return token.trim();
  }

  async killController() {
    await ended(this.controller, 'SIGKILL');
  }

  startWorkers() {
    const server = ['--server', `http://${this.addresses.grpc}`];
    for (let number = 1; number <= WORKERS; number++) {
      this.worker = this.spawn(['demo-worker', '--number', String(number), '--dir', this.dir, ...server], 'ignore');
    }
  }

  /** The last one, without a goodbye. */
  async killWorker() {
    await ended(this.worker, 'SIGKILL');
  }

  /** Makes every call to the target fail, or none. */
  setFault(fails) {
    fs.writeFileSync(this.file('target-fault.new'), fails ? '*' : '');
    fs.renameSync(this.file('target-fault.new'), this.file('target-fault'));
  }

  async cli(...args) {
    const { stdout } = await promisify(execFile)(BINARY, [...args, '--server', `http://${this.addresses.grpc}`], { cwd: this.dir });
    return stdout;
  }

  async status(key) {
    const answer = await fetch(`${this.url}/api/v1/GetStatus?key=${key}`);
    return answer.json();
  }

  /** Until `holds` returns something true, which is returned. */
  async eventually(what, holds, seconds = 30) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      const held = await Promise.resolve(holds()).catch(() => false);
      if (held) return held;
      if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  }

  async settled(key, shares) {
    return this.eventually(`${key} settles at ${JSON.stringify(shares)}`, async () => {
      const status = await this.status(key);
      const here = Object.fromEntries(status.shares.map((share) => [share.rung, share.ppm]));
      return status.settled && status.migration.state !== 'STATE_RAMPING' && Object.entries(shares).every(([rung, ppm]) => here[rung] === ppm) && status;
    });
  }

  spawn(args, stdio) {
    const child = spawn(BINARY, args, { stdio, cwd: this.dir, env: { ...process.env, RUST_LOG: 'info' } });
    this.children.push(child);
    return child;
  }

  async stop() {
    await Promise.all(this.children.reverse().map((child) => ended(child, 'SIGTERM')));
    fs.rmSync(this.dir, { recursive: true });
  }
}

function ended(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return undefined;
  const over = new Promise((resolve) => { child.once('exit', resolve); });
  child.kill(signal);
  return over;
}

/** The first line of a stream that matches, as JSON. */
function firstLine(stream, matches) {
  return new Promise((resolve, reject) => {
    let text = '';
    const take = (chunk) => {
      text += chunk;
      const line = text.split('\n').slice(0, -1).find(matches);
      if (!line) return;
      stream.off('data', take);
      resolve(JSON.parse(line));
    };
    stream.on('data', take);
    stream.once('end', () => reject(new Error(`it ended: ${text}`)));
  });
}
