// The board: of a channel whose messages are changes the state that they come to, of every other its newest messages.

import { Feed } from "./feed.js";
import { ask, banner, find, heading, line, make, opened, person, seconds, time, tokens } from "./page.js";
import { Courses, label, plain, shown, tone } from "./values.js";

const NEWEST = 50;
const MARKED = 10_000; // for so long a tile is marked that has changed
const TOLD = 5_000; // what has changed is read out at most so often

const SCALES = [1.7, 1.55, 1.4, 1.25, 1.12, 1]; // a screen on a wall is filled, so that it is read from afar

const board = find("board");
const courses = new Courses();
const order = new Intl.Collator("en-GB", { numeric: true }).compare;
const tiles = new Map(); // by name: element, value, marked (a timer)
const untold = new Map();
let feed = null;
let since = "";
let telling = 0;

document.title = find("title").textContent = heading();

// --- a state, as tiles --------------------------------------------------------------------------------------------------

function whole(state, at) {
  if (board.dataset.as !== "tiles") {
    board.replaceChildren();
    board.dataset.as = "tiles";
  }
  const known = tiles.size > 0;
  for (const name of [...tiles.keys()].filter((name) => !(name in state))) remove(name);
  for (const [name, value] of Object.entries(state)) put(name, value, at, known);
  settle();
}

function change(members, at) {
  for (const [name, value] of Object.entries(members)) value === null ? remove(name) : put(name, value, at, true);
  settle();
}

function put(name, value, at, marks) {
  const tile = tiles.get(name) ?? place(name);
  const before = tile.value;
  courses.take(name, value);
  const parts = shown(value, before, name, courses);
  tile.value = value;
  tile.element.dataset.tone = tone(value);
  tile.element.classList.toggle("wide", parts.some((part) => part.classList.contains("grid")));
  tile.body.replaceChildren(...parts);
  if (marks && says(value, before)) {
    if (!tile.element.classList.contains("wide")) mark(tile, at); // what is wide marks where it has changed
    untold.set(name, said(value));
    tell();
  }
}

function place(name) {
  const when = make("span", { class: "when" });
  const body = make("div", { class: "body" });
  const element = make("article", { class: "tile" }, make("h2", {}, label(name), when), body);
  const after = [...tiles.keys()].filter((other) => order(other, name) > 0).sort(order)[0];
  board.insertBefore(element, after === undefined ? null : tiles.get(after).element);
  const tile = { element, when, body, value: undefined, marked: 0 };
  tiles.set(name, tile);
  return tile;
}

function remove(name) {
  tiles.get(name)?.element.remove();
  if (tiles.delete(name)) untold.set(name, "removed");
  tell();
}

let fitted = -1;

/** After tiles have changed: how they stand, and how large they can be for all to be seen. */
function settle() {
  find("empty")?.remove();
  if (!tiles.size) board.append(make("p", { id: "empty", class: "soft" }, "There is nothing on this board yet."));
  board.classList.toggle("columns", board.querySelectorAll(".wide").length > 1);
  if (fitted !== tiles.size || tall()) fit();
  fitted = tiles.size;
}

const tall = () => document.documentElement.scrollHeight > window.innerHeight;

function fit() {
  if (board.dataset.as !== "tiles") return;
  for (const scale of window.innerWidth < 1000 ? [1] : SCALES) {
    document.documentElement.style.setProperty("--scale", scale);
    if (!tall()) break;
  }
}

window.addEventListener("resize", fit);

function mark(tile, at) {
  clearTimeout(tile.marked);
  tile.element.classList.remove("changed");
  void tile.element.offsetWidth; // so that what shows the change begins anew
  tile.element.classList.add("changed");
  tile.when.textContent = time(at);
  tile.marked = setTimeout(() => tile.element.classList.remove("changed"), MARKED);
}

/** Whether a change is more than numbers within a tile, which move all the time and are marked where they stand. */
function says(value, before) {
  if (typeof value !== "object" || value === null || typeof before !== "object" || before === null) return value !== before;
  const names = new Set([...Object.keys(value), ...Object.keys(before)]);
  return [...names].some((name) => {
    const numbers = typeof value[name] === "number" && typeof before[name] === "number";
    return !numbers && says(value[name], before[name]);
  });
}

function said(value) {
  if (typeof value !== "object" || value === null) return plain(value);
  return Object.entries(value).filter(([, inner]) => typeof inner !== "object").map(([key, inner]) => `${label(key)} ${plain(inner)}`).join(", ");
}

/** Have what has changed read out, once in a while. */
function tell() {
  if (telling) return;
  const say = () => {
    telling = 0;
    if (!untold.size) return;
    const all = [...untold].map(([name, words]) => `${label(name)}: ${words}`);
    untold.clear();
    find("told").textContent = all.length > 3 ? `${all.length} changes on the board` : all.join(". ");
    telling = setTimeout(say, TOLD);
  };
  telling = setTimeout(say, 300);
}

// --- messages, as a list ------------------------------------------------------------------------------------------------

function add(message, old) {
  if (!["say", "correct", "retract"].includes(message.tags?.happening ?? "say")) return;
  if (board.dataset.as !== "list") {
    board.dataset.as = "list";
    board.replaceChildren(make("ol", { id: "messages", "aria-live": "polite" }));
  }
  const { tags = {}, info = {} } = message;
  const what = { message: "Message", job: "Job", transfer: "File" }[message.data?.what];
  const from = [what ? `${what} of ${message.data.of}` : person(info.user ?? ""), tags.at ? seconds(tags.at) : ""];
  if (tags.happening !== "say") from.push(tags.happening === "correct" ? "a correction" : "taken back");
  let value = message.data;
  if (what) {
    const { what: _, of: __, ...facts } = value;
    value = facts;
  }
  const head = make("p", { class: "from" }, from.filter(Boolean).join(" · "));
  const item = make("li", { class: old ? "tile" : "tile changed", "data-tone": tone(value) }, head, ...shown(value, undefined, "", courses));
  setTimeout(() => item.classList.remove("changed"), MARKED);
  find("messages").prepend(item);
  while (find("messages").children.length > NEWEST) find("messages").lastElementChild.remove();
}

// --- the line -----------------------------------------------------------------------------------------------------------

const heard = {
  live() {
    since = "";
    line("live", "Live");
    banner();
    fit();
    if (!board.dataset.as) board.replaceChildren(make("p", { id: "empty", class: "soft" }, "Nothing has come yet."));
  },
  lost() {
    since ||= seconds(new Date());
    line("trying", "Connecting again");
    banner(`No connection since ${since}. What is shown may be out of date.`);
    fit();
  },
  refused(status, words) {
    since ||= seconds(new Date());
    line("off", "Not connected");
    banner(board.dataset.as ? `Not live since ${since}. What is shown may be out of date.` : "");
    ask(status === 401 ? (board.dataset.as ? "Access has ended: the board needs another access token." : "This page needs an access token that is good.")
      : words || "This channel cannot be read.");
  },
  snapshot: (message) => whole(message.data, message.tags?.at),
  message: (message, old) => (board.dataset.as === "tiles" ? change(message.data, message.tags?.at) : add(message, old)),
  reset() {
    find("messages")?.prepend(make("li", { class: "gap soft" }, "What came in between is not kept any more."));
  },
};

function begin(token) {
  line("trying", "Connecting");
  if (feed) feed.renew(token);
  else feed = new Feed(token, heard);
}

tokens(begin);
const { token } = opened();
if (token) begin(token);
else {
  line("off", "Not connected");
  ask("This page needs an access token.");
}

const clock = () => {
  find("clock").textContent = time(new Date());
};
clock();
setInterval(clock, 1000);
