// A channel as Server-Sent Events: joined, gone on with after a break, and no longer than it is known to be alive.

import { channel } from "./page.js";

const SILENCE = 40_000; // the server says that it is there every 15 seconds
const EARLIER = [30, 10, 3, 1]; // messages that are asked for where the page has seen none
const LATER = 3_000;

/** `heard` has: live(), lost(), refused(status, words), snapshot(message), reset(), message(message, old): old, said before this was opened. */
export class Feed {
  #token;
  #heard;
  #source = null;
  #wanted = false;
  #since = "";
  #watch = 0;
  #again = 0;
  #first = true;
  #seen = false;
  #back = [];
  #top = 0;

  constructor(token, heard) {
    this.#token = token;
    this.#heard = heard;
    window.addEventListener("online", () => this.#wanted && this.open());
    window.addEventListener("offline", () => this.#wanted && this.#lost());
    this.open();
  }

  /** Go on with another token. */
  renew(token) {
    this.#token = token;
    this.open();
  }

  open() {
    this.close();
    this.#wanted = true;
    const address = this.#address();
    address.searchParams.set("access_token", this.#token);
    address.searchParams.set("here", "true");
    if (this.#since) address.searchParams.set("since", this.#since);
    const source = (this.#source = new EventSource(address));
    const on = (name, act) =>
      source.addEventListener(name, (event) => {
        if (source !== this.#source) return;
        this.#alive();
        act(event);
      });
    on("here", () => {});
    on("joined", (event) => this.#joined(event.lastEventId));
    on("reset", () => this.#reset());
    on("snapshot", (event) => this.#heard.snapshot(this.#read(event)));
    on("message", (event) => {
      const message = this.#read(event);
      this.#heard.message(message, message.offset <= this.#top);
    });
    source.onerror = () => {
      if (source !== this.#source) return;
      this.#heard.lost();
      if (source.readyState === EventSource.CLOSED) this.#why();
    };
    this.#alive();
  }

  close() {
    this.#wanted = false;
    clearTimeout(this.#again);
    clearTimeout(this.#watch);
    this.#source?.close();
    this.#source = null;
  }

  #address() {
    return new URL(`../channels/${encodeURIComponent(channel)}/events`, location.href);
  }

  #alive() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#lost(), SILENCE);
  }

  #lost() {
    this.close();
    this.#wanted = true;
    this.#heard.lost();
    this.#later();
  }

  #later() {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.open(), LATER);
  }

  #read(event) {
    if (event.lastEventId) this.#since = event.lastEventId;
    this.#seen = true;
    this.#back = [];
    return JSON.parse(event.data);
  }

  /** Where the whole follows, or nothing is kept, there is no id at first; else it says where the channel is: ask for what came before. */
  #joined(id) {
    this.#heard.live();
    if (id) this.#since = id;
    if (!this.#first) return;
    this.#first = false;
    const [epoch, top] = id.split(":");
    if (!id || !Number(top)) return;
    this.#top = Number(top);
    const before = new Set(EARLIER.map((count) => Math.max(0, Number(top) - count)));
    this.#back = [...before].map((number) => `${epoch}:${number}`);
    this.#since = this.#back.shift();
    this.open();
  }

  #reset() {
    const fewer = this.#back.shift(); // so many are not kept any more
    if (fewer !== undefined) {
      this.#since = fewer;
      this.open();
    } else if (this.#seen) {
      this.#heard.reset();
    }
  }

  /** Events do not say why they were refused: ask as anybody would. */
  async #why() {
    const source = this.#source;
    const asked = new AbortController();
    const limit = setTimeout(() => asked.abort(), 10_000);
    let status = 0;
    let words = "";
    try {
      const headers = { Authorization: `Bearer ${this.#token}` };
      const answer = await fetch(this.#address(), { headers, cache: "no-store", signal: asked.signal });
      status = answer.status;
      if (status !== 200) words = (await answer.text()).trim();
    } catch {
      // nobody answers: as good as no answer
    }
    clearTimeout(limit);
    asked.abort();
    if (source !== this.#source) return;
    if (status >= 400 && status < 500 && status !== 408 && status !== 429) {
      this.close();
      this.#heard.refused(status, words);
    } else {
      this.#later();
    }
  }
}
