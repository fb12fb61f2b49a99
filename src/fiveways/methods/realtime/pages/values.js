// How values are shown: words large, objects as tables, numbers with their course. What has just changed says so itself.

import { make, words } from "./page.js";

const COURSE = 60; // how many values of a number are kept
const COUNTERS = new Set(["requests", "errors", "slow", "published", "delivered"]); // of these, what was added each time is drawn
const ALARMS = new Set(["errors", "dead"]); // of these, anything but 0 is marked
const HEADS = ["text", "state", "status", "value"]; // the member that is shown large
const LABELS = { apis: "APIs", realtime: "Real time", dead: "Given up", slow: "Too slow", channels: "Channels read" };
const TONES = {
  good: ["free", "available", "ready", "clean", "open", "up", "ok", "released", "done", "completed", "succeeded"],
  busy: ["taken", "occupied", "in use", "admitted", "busy", "arrived"],
  wait: ["cleaning", "due", "waiting", "pending", "reserved", "booked", "part-released", "discharge due"],
  bad: ["closed", "blocked", "down", "overdue", "failed", "late", "rejected", "expired", "cancelled"],
};
const NUMBER = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 2 });
const SHORT = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });

export const label = (name) => LABELS[name] ?? words(name);
/** A name that may be broken where its parts meet. */
function broken(name) {
  return name.split(/(?<=[./_-])/).flatMap((part, at) => (at ? [make("wbr"), part] : [part]));
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isPlain = (value) => typeof value !== "object" || value === null;

/** The course of numbers, by where they stand. */
export class Courses {
  #points = new Map();

  /** A value has come, whether or not it is another one. */
  take(path, value) {
    if (typeof value === "number") {
      const points = this.#points.get(path) ?? [];
      points.push(value);
      if (points.length > COURSE) points.shift();
      this.#points.set(path, points);
    } else if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) this.take(`${path}\n${key}`, inner);
    }
  }

  /** A drawing of it; null where it has always been the same. */
  drawn(path) {
    const known = this.#points.get(path) ?? [];
    const counts = COUNTERS.has(path.slice(path.lastIndexOf("\n") + 1));
    const points = counts ? known.slice(1).map((value, at) => Math.max(0, value - known[at])) : known;
    const [least, most] = [Math.min(...points), Math.max(...points)];
    if (points.length < 2 || least === most) return null;
    const step = 100 / (points.length - 1);
    const placed = points.map((value, at) => `${(at * step).toFixed(1)},${(22 - (20 * (value - least)) / (most - least)).toFixed(1)}`);
    const line = make("polyline", { points: placed.join(" ") });
    return make("svg", { class: "course", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" }, line);
  }
}

/** What a value is to the eye: good, busy, wait, bad, or nothing. */
export function tone(value) {
  const said = String(isObject(value) ? (value[HEADS.find((name) => isPlain(value[name]) && name in value)] ?? "") : value).toLowerCase();
  return Object.keys(TONES).find((name) => TONES[name].includes(said)) ?? "";
}

/** A value in words. */
export function plain(value) {
  if (value === null || value === "") return "–";
  if (typeof value === "number") return NUMBER.format(value);
  if (typeof value === "boolean") return value ? "Yes" : "No";
  if (typeof value === "object") return Array.isArray(value) ? value.map(plain).join(", ") : JSON.stringify(value);
  return value;
}

/** Elements that show a value. `before` is what it was: where that is another, it is marked. */
export function shown(value, before, path, courses) {
  if (isPlain(value)) return [large(value, path, courses)];
  if (Array.isArray(value) && !value.some(isObject)) return [make("p", { class: "list" }, plain(value) || "–")];
  const members = Object.entries(value);
  if (!members.length) return [make("p", { class: "soft" }, "Nothing")];
  const was = (key) => before?.[key];
  if (members.every(([, inner]) => isObject(inner))) return [grid(members, was, path, courses)];
  if (members.length <= 6 && members.every(([, inner]) => typeof inner === "number")) return [figures(members, was, path, courses)];
  const head = HEADS.find((name) => name in value && isPlain(value[name]));
  const rest = members.filter(([key]) => key !== head);
  const parts = head === undefined ? [] : [large(value[head], `${path}\n${head}`, courses)];
  if (rest.length) parts.push(pairs(rest, was, path, courses));
  return parts;
}

function large(value, path, courses) {
  const said = plain(value);
  const size = said.length > 40 ? "large long" : "large";
  return make("p", { class: typeof value === "number" ? `${size} number` : size }, said, courses.drawn(path));
}

const marked = (value, before, name, others = "") =>
  [others, before !== undefined && JSON.stringify(before) !== JSON.stringify(value) ? "new" : "", ALARMS.has(name) && value > 0 ? "alarm" : ""]
    .filter(Boolean).join(" ");

function cell(value, before, name, path, courses) {
  const course = typeof value === "number" ? courses.drawn(path) : null;
  const kind = marked(value, before, name, typeof value === "number" ? "number" : "");
  return make("td", { class: kind }, course, make("span", { class: "value" }, plain(value)));
}

function pairs(members, was, path, courses) {
  const rows = members.map(([key, value]) =>
    make("tr", {}, make("th", { scope: "row" }, label(key)), cell(value, was(key), key, `${path}\n${key}`, courses)));
  return make("table", { class: "pairs" }, make("tbody", {}, ...rows));
}

function grid(members, was, path, courses) {
  const columns = [...new Set(members.flatMap(([, inner]) => Object.keys(inner)))];
  const head = columns.map((name) => make("th", { scope: "col" }, label(name)));
  const any = members.some(([key]) => was(key) !== undefined);
  const rows = members.map(([key, inner]) => {
    const cells = columns.map((name) =>
      name in inner ? cell(inner[name], was(key)?.[name], name, `${path}\n${key}\n${name}`, courses) : make("td", {}));
    const still = Object.values(inner).every((each) => each === 0);
    const kind = [still ? "still" : "", any && was(key) === undefined ? "new" : ""].filter(Boolean).join(" ");
    return make("tr", { class: kind }, make("th", { scope: "row" }, ...broken(key)), ...cells);
  });
  const corner = make("td", {});
  return make("table", { class: "grid" }, make("thead", {}, make("tr", {}, corner, ...head)), make("tbody", {}, ...rows));
}

function figures(members, was, path, courses) {
  const each = members.map(([key, value]) => {
    const said = value >= 1e6 ? SHORT.format(value) : plain(value);
    const shownValue = make("dd", { class: marked(value, was(key), key), title: plain(value) }, make("span", { class: "value" }, said), courses.drawn(`${path}\n${key}`));
    return make("div", {}, make("dt", {}, ...broken(label(key))), shownValue);
  });
  return make("dl", { class: "figures" }, ...each);
}
