// @parse/node-apn: its public provider, pointed at the local server. Installed outside the
// repository; the folder is the second argument.

import { createRequire } from 'node:module';
import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';

const job = JSON.parse(process.argv[2]);
const apn = createRequire(`${process.argv[3]}/`)('@parse/node-apn');

const provider = new apn.Provider({
  token: { key: job.token_key, keyId: 'KEY4567890', teamId: 'TEAM567890' },
  address: 'localhost',
  port: job.port,
  ca: readFileSync(job.trust),
  requestTimeout: 20000,
});
// Behind the `?`, a server of files passes the token over.
provider.client.makePath = (type, token) => `/3/device/?${token}`;

const alert = 'x'.repeat(job.body_bytes - '{"aps":{"alert":""}}'.length);

function notification(id) {
  const note = new apn.Notification();
  note.topic = 'com.example.app';
  note.pushType = 'alert';
  note.priority = 10;
  note.expiry = 1700000000;
  note.alert = alert;
  note.id = id;
  return note;
}

const targets = (count) =>
  Array.from({ length: count }, () => [randomBytes(32).toString('hex'), randomUUID()]);

async function send(everyone) {
  let next = 0;
  let accepted = 0;
  async function work() {
    while (next < everyone.length) {
      const [token, id] = everyone[next++];
      const { sent, failed } = await provider.send(notification(id), token);
      if (failed.length) throw new Error(JSON.stringify(failed[0]));
      accepted += sent.length;
    }
  }
  await Promise.all(Array.from({ length: job.in_flight }, work));
  return accepted;
}

await send(targets(job.warm_up));
const everyone = targets(job.requests);
const before = process.cpuUsage();
const clock = performance.now();
const accepted = await send(everyone);
const seconds = (performance.now() - clock) / 1000;
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ accepted, seconds, cpu: (user + system) / 1e6 }));
await provider.shutdown();
