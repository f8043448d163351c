// A server on Node's http2, which is nghttp2's. Usage: node node.mjs CERTIFICATE KEY.
// Prints its port. GET /books/<beginning of ids> tells what came.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { constants, createSecureServer } from 'node:http2';

const received = new Map();
const faults = [];
const seen = new Set();
const sockets = new Map(); // by the client's port; http2 keeps its own behind a proxy
const changes = [
  { maxConcurrentStreams: 3 },
  { initialWindowSize: 1000 },
  { headerTableSize: 0 },
  { maxConcurrentStreams: 100, initialWindowSize: 100000, headerTableSize: 4096, maxFrameSize: 32768 },
];
let changed = 0;

const obey = {
  // Under http2 and TLS: ending the session would first reset its streams, each with a frame.
  cut: (stream) => sockets.get(stream.session.socket.remotePort).destroy(),
  reset: (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR),
  ping: (stream) => stream.session.ping((error) => respond(stream, error ? 500 : 200)),
  hints: (stream) => {
    stream.additionalHeaders({ ':status': 103, link: '</style.css>' });
    respond(stream, 200);
  },
  trailers: (stream) => {
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-checksum': '17' }));
    stream.end('body');
  },
  fields: (stream, argument, asked) => {
    const own = Object.fromEntries(Object.entries(asked).filter(([name]) => name.startsWith('x-')));
    const many = Array.from({ length: 80 }, (_, n) => [`x-${n + 1}`, 'v'.repeat(n + 1)]);
    respond(stream, 400, JSON.stringify(own), Object.fromEntries(many));
  },
  status: (stream, argument) => respond(stream, Number(argument), `{"reason":"R${argument}"}`),
  answer: (stream, argument) => respond(stream, 200, 'a'.repeat(Number(argument))),
  failure: (stream, argument) => respond(stream, 500, 'a'.repeat(Number(argument))),
  settings: (stream) => {
    stream.session.settings(changes[changed++ % changes.length]);
    respond(stream, 200);
  },
  goaway: (stream) => {
    // From here on, nothing above the last one that was looked at is.
    stream.session.lastStream = stream.session.highest;
    stream.session.goaway(constants.NGHTTP2_NO_ERROR, stream.session.lastStream);
    respond(stream, 200);
  },
  ok: (stream) => respond(stream, 200),
};

function respond(stream, status, body = '', headers = {}) {
  stream.respond({ ':status': status, ...headers }, { endStream: !body });
  if (body) stream.end(body);
}

function books(beginning) {
  const own = [...received].filter(([name]) => name.startsWith(beginning));
  return JSON.stringify({ received: Object.fromEntries(own), faults });
}

function request(stream, headers) {
  stream.on('error', () => {}); // streams end early here, by either side's will
  const { session } = stream;
  if (!session) return;
  const [, action, argument] = headers[':path'].split('/');
  const name = headers['apns-id'];
  if (action === 'books') return respond(stream, 200, books(argument));
  if (action === 'refuse' && !seen.has(name)) {
    seen.add(name);
    return stream.close(constants.NGHTTP2_REFUSED_STREAM);
  }
  const digest = createHash('sha256');
  stream.on('data', (piece) => digest.update(piece));
  stream.on('end', () => {
    if (stream.id > (session.lastStream ?? Infinity)) return;
    session.highest = Math.max(session.highest ?? 0, stream.id);
    received.set(name, [...(received.get(name) ?? []), digest.digest('hex')]);
    if (!stream.destroyed) (obey[action] ?? obey.ok)(stream, argument, headers);
  });
}

const [certificate, key] = process.argv.slice(2).map((path) => readFileSync(path));
const options = { cert: certificate, key, maxOutstandingPings: 100, settings: { maxConcurrentStreams: 100 } };
const server = createSecureServer(options);
server.on('connection', (socket) => {
  const { remotePort } = socket;
  sockets.set(remotePort, socket);
  socket.on('close', () => sockets.delete(remotePort));
});
server.on('stream', request);
server.on('sessionError', (error) => faults.push(error.message));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
