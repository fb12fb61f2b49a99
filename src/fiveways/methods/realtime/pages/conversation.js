// A conversation, worked out of its entries: who said what, what became of it, and whom it has reached.

/** What is said: a text, or the member `text`, or the JSON itself. */
export function wording(data) {
  if (typeof data === "string") return data;
  return typeof data?.text === "string" ? data.text : JSON.stringify(data);
}

export class Conversation {
  #entries = new Map();
  people = new Map(); // by name: up to which number messages have reached them (delivered), and were read
  me = "";

  get top() {
    return Math.max(0, ...this.#entries.keys());
  }

  get first() {
    return this.#entries.size ? Math.min(...this.#entries.keys()) : 0;
  }

  get closed() {
    return [...this.#entries.values()].some((entry) => entry.tags.happening === "close");
  }

  /** Begin anew: what is known is of another conversation. */
  forget() {
    this.#entries.clear();
  }

  /** Take an entry; false where it is known, or is none. */
  add(entry) {
    if (!entry.offset || this.#entries.has(entry.offset)) return false;
    this.#entries.set(entry.offset, entry);
    const { user } = entry.info;
    const happening = entry.tags.happening;
    if (happening === "deliver" || happening === "read") this.#reached(user, happening, Number(entry.tags.about));
    if (happening === "say") this.#reached(user, "read", 0);
    if (happening === "invite") for (const member of entry.data.members ?? []) this.#reached(member, "read", 0);
    return true;
  }

  /** Who takes part, as the server has it. */
  take(participants) {
    this.people = new Map(participants.map(({ member, delivered, read }) => [member, { delivered, read }]));
  }

  #reached(member, how, number) {
    const before = this.people.get(member) ?? { delivered: 0, read: 0 };
    const delivered = Math.max(before.delivered, number);
    this.people.set(member, { delivered, read: how === "read" ? Math.max(before.read, number) : before.read });
  }

  /** Whether a message that one has named is among the entries. */
  has(clientId) {
    return [...this.#entries.values()].some((entry) => entry.tags.client_id === clientId && entry.info.user === this.me);
  }

  /** The newest message of somebody else's; 0 where there is none. */
  get newest() {
    const others = [...this.#entries.values()].filter((entry) => entry.tags.happening === "say" && entry.info.user !== this.me);
    return Math.max(0, ...others.map((entry) => entry.offset));
  }

  /** What is shown, in order: messages as they are now, and what happened beside them. */
  said() {
    const shown = new Map();
    for (const entry of [...this.#entries.values()].sort((one, other) => one.offset - other.offset)) {
      const { happening, at, about } = entry.tags;
      const message = shown.get(Number(about));
      if (happening === "say") shown.set(entry.offset, this.#message(entry));
      else if (happening === "correct" && message && !message.retracted) {
        message.former.push({ text: message.text, at: message.corrected || message.at });
        Object.assign(message, { text: wording(entry.data), corrected: at });
      } else if (happening === "retract" && message) {
        message.retracted ||= { at, reason: entry.data?.reason ?? "" };
      } else if (["invite", "leave", "close"].includes(happening)) {
        shown.set(entry.offset, { offset: entry.offset, happening, at, sender: entry.info.user, members: entry.data?.members ?? [] });
      }
    }
    return [...shown.values()];
  }

  #message({ offset, data, info, tags }) {
    const others = [...this.people].filter(([member]) => member !== info.user).map(([, reached]) => reached);
    return {
      offset, happening: "say", at: tags.at, sender: info.user, own: info.user === this.me, text: wording(data), former: [],
      corrected: "", retracted: null, others: others.length,
      delivered: others.filter((reached) => reached.delivered >= offset).length,
      read: others.filter((reached) => reached.read >= offset).length,
    };
  }
}
