// The TypeScript package's queue and worker, driven by lines of JSON on standard input.
// It must not know who drives it. Usage: node npm_queue.mjs PATH_OF_INDEX_JS PLACE

import { createInterface } from 'node:readline';

const [, , source, place] = process.argv;
const { JobQueue, JobWorker } = await import(source);

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const queue = new JobQueue({ dataDir: place }, quiet);
await queue.initialize();

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
// The same clock as Python's time.monotonic().
const now = () => Number(process.hrtime.bigint()) / 1e9;
const name = (n) => `job-${String(n).padStart(26, '0')}`;

async function enqueue(payloads) {
  const created = new Date().toISOString();
  const began = now();
  for (const params of payloads) {
    const metadata = { id: name(params.n), type: 'bench', userId: 'local', created };
    Object.assign(metadata, { retryCount: 0, maxRetries: 3 });
    await queue.createJob({ status: 'pending', metadata, params });
  }
  return { began, ended: now() };
}

class Drainer extends JobWorker {
  constructor(most) {
    super(queue, undefined, undefined, quiet);
    this.most = most;
    this.ran = [];
  }
  getWorkerName() { return 'bench'; }
  canProcessJob() { return true; }
  async pollNextJob() {
    const job = this.ran.length < this.most ? await super.pollNextJob() : null;
    if (job === null) this.running = false;
    return job;
  }
  async sleep(ms) { if (this.running) await super.sleep(ms); }
  async executeJob(job) {
    this.ran.push(job.params.n);
    return { ok: true };
  }
}

class Server extends JobWorker {
  getWorkerName() { return 'bench'; }
  canProcessJob() { return true; }
  async executeJob(job) {
    const started = Date.now() / 1e3;
    const done = new Promise((resolve) => { this.go = resolve; });
    say({ payload: job.params, started });
    await done;
    return { ok: true };
  }
}

class Waker extends JobWorker {
  getWorkerName() { return 'bench'; }
  canProcessJob() { return true; }
  async executeJob() {
    this.began(now());
    return { ok: true };
  }
}

let wakes = 0;
const server = new Server(queue, undefined, undefined, quiet);

const verbs = {
  enqueue: ({ payloads }) => enqueue(payloads),
  async drain({ most }) {
    const drainer = new Drainer(most);
    const began = now();
    await drainer.start();
    return { began, ended: now(), ran: drainer.ran };
  },
  async wakes({ pauses }) {
    const waker = new Waker(queue, undefined, undefined, quiet);
    const stopped = waker.start();
    const seconds = [];
    for (const ms of pauses) {
      await new Promise((resolve) => setTimeout(resolve, ms));
      const started = new Promise((resolve) => { waker.began = resolve; });
      const { began } = await enqueue([{ n: wakes++ }]);
      seconds.push((await started) - began);
    }
    await waker.stop();
    await stopped;
    return { seconds };
  },
  list: async () => ({ listed: (await queue.listJobs({ limit: 100 })).length }),
  stats: () => queue.getStats(),
  serve() { server.start(); return {}; },
  go() { server.go(); return null; },
};

say({});
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const answer = await verbs[asked.do](asked);
  if (answer !== null) say(answer);
}
process.exit(0);
