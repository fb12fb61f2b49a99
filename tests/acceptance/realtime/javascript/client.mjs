// centrifuge-js, unchanged, done with as each line of standard input says: [number, "command", {arguments}]. The answer to it is
// {"answer": number, …}; what the client says unasked is {"event": …, "client": …, "channel": …, "context": {…}}. It ends when its
// standard input does.

import { createInterface } from 'node:readline';

import { Centrifuge, UnauthorizedError } from 'centrifuge';
import WebSocket from 'ws';

const EVENTS = ['connecting', 'connected', 'disconnected', 'error', 'message'];
const CHANNEL_EVENTS = ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave', 'error'];
const clients = new Map();
const tokens = new Map();
let asked = 0;

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function tell(client, channel, event, context) {
  say({ event, client, channel, context });
}

// A WebSocket of the package ws that counts what goes over it, and can be cut as a cable is.
function line(name) {
  return class extends WebSocket {
    constructor(...given) {
      super(...given);
      const own = clients.get(name);
      own.line = this;
      this.on('message', () => { own.frames.in += 1; });
    }

    send(data, ...others) {
      const own = clients.get(name);
      own.frames.out += 1;
      if (data === '{}') own.frames.pongs += 1;
      super.send(data, ...others);
    }
  };
}

// Ask whoever drives this for a token; null says that there is none for us.
function token(client) {
  return new Promise((resolve, reject) => {
    asked += 1;
    tokens.set(asked, (given) => (given === null ? reject(new UnauthorizedError('no token')) : resolve(given)));
    tell(client, null, 'token', { asked });
  });
}

function called(target, method, args) {
  const found = target[method];
  return typeof found === 'function' ? found.apply(target, args) : found;
}

const COMMANDS = {
  client({ client, url, asks, options }) {
    const own = { frames: { in: 0, out: 0, pongs: 0 }, line: null };
    clients.set(client, own);
    const getToken = asks ? { getToken: () => token(client) } : {};
    own.centrifuge = new Centrifuge(url, { websocket: line(client), ...getToken, ...options });
    for (const event of EVENTS) own.centrifuge.on(event, (context) => tell(client, null, event, context));
  },

  subscription({ client, channel, options }) {
    const made = clients.get(client).centrifuge.newSubscription(channel, options);
    for (const event of CHANNEL_EVENTS) made.on(event, (context) => tell(client, channel, event, context));
  },

  async call({ client, channel, method, args }) {
    const { centrifuge } = clients.get(client);
    return called(channel ? centrifuge.getSubscription(channel) : centrifuge, method, args);
  },

  // Several calls of one turn, between startBatching and stopBatching.
  async batch({ client, calls }) {
    const { centrifuge } = clients.get(client);
    centrifuge.startBatching();
    const results = calls.map(([method, args]) => called(centrifuge, method, args));
    centrifuge.stopBatching();
    return Promise.all(results);
  },

  token({ number, given }) {
    tokens.get(number)(given);
    tokens.delete(number);
  },

  frames({ client }) {
    return clients.get(client).frames;
  },

  cut({ client }) {
    clients.get(client).line.terminate();
  },
};

for await (const each of createInterface({ input: process.stdin })) {
  const [number, command, given] = JSON.parse(each);
  // Not waited for: commands are done side by side, as a program with several things to do does them.
  Promise.resolve().then(() => COMMANDS[command](given)).then(
    (result) => say({ answer: number, result: result ?? null }),
    (error) => say({ answer: number, error: { code: error.code ?? null, message: error.message, temporary: error.temporary ?? null } }),
  );
}
process.exit(0);
