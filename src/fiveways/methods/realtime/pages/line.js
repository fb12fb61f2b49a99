// A WebSocket that speaks Centrifugo's JSON protocol: as much of it as a conversation takes. It comes back by itself.

const SOONEST = 300;
const LATEST = 10_000;
const PATIENCE = 15_000; // for an answer, and for a ping that is late
const EXPIRED = 109;

/** A command that was not answered with what was asked for. `lost`: nobody knows what became of it. */
export class Refused extends Error {
  constructor(words, { code = 0, temporary = false, lost = false } = {}) {
    super(words);
    Object.assign(this, { code, temporary, lost });
  }
}

/** `heard` has: up(client), down(), push(push), over(words, code): it does not come back until there is another token. */
export class Line {
  #token;
  #heard;
  #socket = null;
  #asked = new Map();
  #number = 0;
  #tries = 0;
  #again = 0;
  #watch = 0;
  #ping = 25_000;

  constructor(token, heard) {
    this.#token = token;
    this.#heard = heard;
    window.addEventListener("offline", () => this.#socket && this.#lost());
    window.addEventListener("online", () => this.#again && this.open());
    this.open();
  }

  /** Go on with another token; `anew`: it may be somebody else's. */
  async renew(token, anew) {
    this.#token = token;
    if (anew) {
      this.open();
      return;
    }
    try {
      await this.ask("refresh", { token });
    } catch {
      this.open();
    }
  }

  open() {
    clearTimeout(this.#again);
    this.#again = 0;
    this.#leave();
    const address = new URL("../connection/websocket", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = (this.#socket = new WebSocket(address));
    this.#alive();
    socket.onopen = () => this.#connect(socket);
    socket.onmessage = ({ data }) => {
      this.#alive();
      for (const each of data.split("\n").filter(Boolean)) this.#take(JSON.parse(each));
    };
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
  }

  /** The answer to a command, `{rpc: …}`, say. Raises Refused. */
  ask(what, content) {
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) {
        reject(new Refused("there is no connection", { lost: true }));
        return;
      }
      const id = ++this.#number;
      const late = setTimeout(() => this.#lost(), PATIENCE);
      this.#asked.set(id, { resolve, reject, late });
      this.#socket.send(JSON.stringify({ id, [what]: content }));
    });
  }

  /** What a method comes to. Raises Refused. */
  async call(method, data) {
    return (await this.ask("rpc", { method, data })).data;
  }

  async #connect(socket) {
    try {
      const hello = await this.ask("connect", { token: this.#token, name: "talk" });
      this.#ping = (hello.ping ?? 25) * 1000;
      this.#tries = 0;
      this.#alive();
      this.#heard.up(hello.client);
    } catch (refused) {
      if (socket !== this.#socket) return;
      if (refused.code === EXPIRED) this.#over("Access has ended.", refused.code);
      else if (!refused.lost) this.#lost();
    }
  }

  #take(said) {
    if (said.push) this.#heard.push(said.push);
    else if (said.id) this.#answered(said);
    else if (!Object.keys(said).length) this.#socket.send("{}");
  }

  #answered({ id, error, ...answer }) {
    const asked = this.#asked.get(id);
    if (!asked) return;
    this.#asked.delete(id);
    clearTimeout(asked.late);
    if (error) asked.reject(new Refused(error.message, error));
    else asked.resolve(Object.values(answer)[0] ?? {});
  }

  #alive() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#lost(), this.#ping + PATIENCE);
  }

  #closed(code, reason) {
    if ((code >= 3500 && code < 4000) || (code >= 4500 && code < 5000)) this.#over(reason, code);
    else this.#lost();
  }

  #over(words, code) {
    this.#leave();
    this.#heard.over(words, code);
  }

  #lost() {
    this.#leave();
    this.#heard.down();
    clearTimeout(this.#again);
    const pause = Math.min(LATEST, SOONEST * 1.7 ** this.#tries++);
    this.#again = setTimeout(() => this.open(), pause * (0.7 + 0.6 * Math.random()));
  }

  #leave() {
    clearTimeout(this.#watch);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const { reject, late } of asked) {
      clearTimeout(late);
      reject(new Refused("the connection was lost", { lost: true }));
    }
  }
}
