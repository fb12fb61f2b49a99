// The conversation: what is written waits until it is sent, once, whatever the line does; what came meanwhile comes in order.

import { show as lay, waiting } from "./bubbles.js";
import { Conversation, wording } from "./conversation.js";
import { Line } from "./line.js";
import { ask, banner, channel, find, heading, line as show, make, opened, person, seconds, tokens } from "./page.js";

const PAGE = 300; // entries that are asked for at once
const AGAIN = 1_500; // after which a refusal that was said to be temporary is tried again
const WRITING = 4_000;

const talk = new Conversation();
const { token, correlation } = opened();
let line = null;
let epoch = "";
let at = 0; // the number of the last entry that is known, with all before it
let ready = false;
let away = null; // {since, after}: since when there is no connection, and after which entry
let back = null; // {after, missed}: what came while one was away
let outbox = []; // {id, text, refused}
let sending = false;
let changing = null; // {how: "correct" or "retract", message}
let told = { delivered: 0, read: 0 };
const present = new Map(); // by connection: who
const writing = new Map(); // by name: a timer

document.title = find("title").textContent = heading(1);

// --- the line -----------------------------------------------------------------------------------------------------------

const heard = {
  async up(client) {
    try {
      await join(client);
    } catch (refused) {
      if (refused.lost) return;
      if (refused.temporary) setTimeout(() => line.open(), AGAIN);
      else heard.over(refused.message, refused.code);
    }
  },
  down() {
    ready = false;
    away ??= { since: seconds(new Date()), after: at };
    show("trying", "Connecting again");
    render();
  },
  over(words, code) {
    ready = false;
    away ??= { since: seconds(new Date()), after: at };
    show("off", "Not connected");
    const ended = code === 109 || code === 3500;
    ask(ended ? (at ? "Access has ended: the conversation needs another access token." : "This page needs an access token that is good.") : words);
    render();
  },
  push(push) {
    if (push.pub) take(push.pub);
    if (push.join) meet(push.join.info);
    if (push.leave) part(push.leave.info);
    if (push.unsubscribe) line.open();
  },
};

async function join(client) {
  const going = Boolean(epoch);
  const where = going ? { recover: true, epoch, offset: at } : {};
  const joined = await line.ask("subscribe", { channel, ...where });
  if (going && joined.recovered) {
    const missed = (joined.publications ?? []).filter((entry) => talk.add(entry) && entry.tags.happening === "say" && entry.info.user !== talk.me);
    back = missed.length && away ? { after: away.after, missed: missed.length } : back;
    at = Math.max(at, joined.offset);
  } else {
    if (going && joined.epoch !== epoch) talk.forget();
    epoch = joined.epoch;
    at = joined.offset;
    await before(joined.offset + 1);
  }
  const there = (await line.ask("presence", { channel }).catch((refused) => missing(refused))).presence ?? {};
  present.clear();
  for (const info of Object.values(there)) present.set(info.client, info.user);
  talk.me = there[client]?.user ?? talk.me;
  const { participants } = await line.call("conversation.participants", { channel });
  talk.take(participants);
  ready = true;
  away = null;
  show("live", "Connected");
  render(true);
  flush();
}

function missing(refused) {
  if (refused.lost) throw refused;
  return {}; // in this channel nobody is told who is there
}

/** Read what was said in front of a number. */
async function before(number) {
  const found = number > 1 ? await line.ask("history", { channel, limit: PAGE, reverse: true, since: { offset: number, epoch } }) : {};
  for (const entry of found.publications ?? []) talk.add(entry);
  find("earlier").hidden = (found.publications ?? []).length < PAGE;
}

function take(entry) {
  if (entry.tags.happening === "type") {
    types(entry.info.user);
    return;
  }
  if (!talk.add(entry)) return;
  at = Math.max(at, entry.offset);
  types(entry.info.user, false);
  render();
}

// --- who is there -------------------------------------------------------------------------------------------------------

function meet({ client, user }) {
  present.set(client, user);
  people();
}

function part({ client }) {
  present.delete(client);
  people();
}

function people() {
  const there = new Set([...present.values()].filter((member) => member !== talk.me));
  const others = [...talk.people.keys()].filter((member) => member !== talk.me);
  const each = others.map((member) => {
    const is = away || !present.size ? "unknown" : there.has(member) ? "there" : "away";
    return make("span", { class: is }, `${person(member)}${is === "away" ? " (away)" : ""}`);
  });
  find("here").replaceChildren(...each);
}

function types(member, does = true) {
  if (member === talk.me) return;
  clearTimeout(writing.get(member));
  writing.delete(member);
  if (does) writing.set(member, setTimeout(() => types(member, false), WRITING));
  const names = [...writing.keys()].map(person);
  find("typing").textContent = names.length ? `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} writing …` : "";
}

// --- what one has read --------------------------------------------------------------------------------------------------

function acknowledge() {
  const newest = talk.newest;
  if (!ready || !newest || talk.closed) return;
  for (const state of document.hasFocus() && document.visibilityState === "visible" ? ["delivered", "read"] : ["delivered"]) {
    const mine = talk.people.get(talk.me)?.[state] ?? 0;
    if (newest <= Math.max(told[state], mine)) continue;
    const was = told[state];
    told[state] = newest;
    line.call("message.acknowledge", { channel, offset: newest, state, correlation }).catch(() => {
      told[state] = was;
    });
  }
}

document.addEventListener("visibilitychange", acknowledge);
window.addEventListener("focus", acknowledge);

// --- what one writes ----------------------------------------------------------------------------------------------------

function unique() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");
}

/** Send what waits, one after another, so that it stays in order; by its id each is published once. */
async function flush() {
  if (sending) return;
  sending = true;
  let next;
  while (ready && (next = outbox.find((each) => !each.refused && !each.sent))) {
    try {
      await line.call("message.send", { channel, id: next.id, data: { text: next.text }, correlation });
      next.sent = true;
    } catch (refused) {
      if (refused.lost) break;
      if (refused.temporary) await new Promise((resolve) => setTimeout(resolve, AGAIN));
      else next.refused = refused.message;
    }
    render();
  }
  sending = false;
}

const act = {
  correct: (message) => change("correct", message),
  retract: (message) => change("retract", message),
  again(id) {
    for (const each of outbox.filter((each) => each.id === id)) each.refused = "";
    render();
    flush();
  },
  discard(id) {
    outbox = outbox.filter((each) => each.id !== id);
    render();
  },
};

function change(how, message) {
  changing = { how, message };
  find("words").value = how === "correct" ? message.text : "";
  compose();
  find("words").focus();
}

function compose() {
  const how = changing?.how;
  find("about").hidden = !changing;
  find("about").firstElementChild.textContent = changing ? `${how === "correct" ? "Correcting" : "Taking back"}: ${changing.message.text}` : "";
  find("words").placeholder = how === "retract" ? "Why?" : "Write a message";
  find("words").required = how !== "retract";
  find("send").textContent = { correct: "Correct", retract: "Take back" }[how] ?? "Send";
  for (const element of [find("words"), find("send")]) element.disabled = talk.closed;
  if (talk.closed) find("words").placeholder = "The conversation is closed";
  grow();
}

function grow() {
  find("words").style.height = "auto";
  find("words").style.height = `${Math.min(find("words").scrollHeight + 4, 200)}px`;
}

async function submit() {
  const text = find("words").value.trim();
  if (!changing && !text) return;
  if (!changing) outbox.push({ id: unique(), text, refused: "", sent: false });
  else {
    const { how, message } = changing;
    const said = how === "correct" ? { data: { text } } : { reason: text };
    try {
      await line.call(`message.${how}`, { channel, offset: message.offset, correlation, ...said });
    } catch (refused) {
      find("typing").textContent = `That was not done: ${refused.message}`;
      return;
    }
  }
  changing = null;
  find("words").value = "";
  compose();
  render(true);
  flush();
}

let wrote = 0;
find("words").addEventListener("input", () => {
  grow();
  if (!ready || changing || Date.now() - wrote < WRITING / 2) return;
  wrote = Date.now();
  line.call("message.type", { channel }).catch(() => {});
});
find("words").addEventListener("keydown", (event) => {
  if (event.key === "Escape" && changing) find("never-mind").click();
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  find("composer").requestSubmit();
});
find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
find("never-mind").addEventListener("click", () => {
  changing = null;
  find("words").value = "";
  compose();
});
find("earlier").addEventListener("click", async () => {
  const height = document.documentElement.scrollHeight;
  await before(talk.first).catch(() => {});
  render();
  window.scrollBy(0, document.documentElement.scrollHeight - height);
});
window.addEventListener("beforeunload", (event) => outbox.length && event.preventDefault());

// --- showing it ---------------------------------------------------------------------------------------------------------

function render(down = false) {
  const page = document.documentElement;
  const bottom = down || page.scrollHeight - page.scrollTop - page.clientHeight < 80;
  outbox = outbox.filter((each) => !talk.has(each.id));
  lay(find("said"), talk.said(), act, back);
  find("waiting").replaceChildren(...outbox.map((each) => waiting(each, act)));
  const kept = outbox.length ? ` ${outbox.length === 1 ? "1 message waits" : `${outbox.length} messages wait`}.` : "";
  banner(away ? `No connection since ${away.since}. What you write is sent later.${kept}` : "");
  people();
  compose();
  if (bottom) window.scrollTo(0, page.scrollHeight);
  acknowledge();
}

function begin(token) {
  show("trying", "Connecting");
  if (line) line.renew(token, !ready);
  else line = new Line(token, heard);
}

tokens(begin);
if (token) begin(token);
else {
  show("off", "Not connected");
  ask("This page needs an access token.");
}
