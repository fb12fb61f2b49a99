// What both pages have: their channel, the access token, what is said of the line, and words for names and times.
// Whatever comes from a channel becomes text, and nothing else: elements are made here, by name.

export const channel = named(location.pathname.split("/").pop());
export const find = (id) => document.getElementById(id);

function named(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** An element with attributes and children; a child that is no element is text. */
export function make(name, attributes = {}, ...children) {
  const made = name === "svg" || name === "polyline"
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// --- who has opened it --------------------------------------------------------------------------------------------------

/** What the fragment of the address says: token, and correlation where the caller has one. It is taken out of the address. */
export function opened() {
  const said = new URLSearchParams(location.hash.slice(1));
  if (location.hash) history.replaceState(history.state, "", location.pathname + location.search);
  return { token: said.get("token") ?? "", correlation: said.get("correlation") ?? "" };
}

/** `given` is called with each access token that is brought: by the address, now or later, or by hand. */
export function tokens(given) {
  window.addEventListener("hashchange", () => {
    const { token } = opened();
    if (token) taken(token);
  });
  find("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = find("token").value.trim();
    find("token").value = "";
    if (token) taken(token);
  });
  const taken = (token) => {
    find("asks").hidden = true;
    given(token);
  };
}

/** Ask for an access token, and say why. */
export function ask(why) {
  find("asks-why").textContent = why;
  find("asks").hidden = false;
  find("asks").scrollIntoView({ block: "center" });
  if (document.activeElement === document.body) find("token").focus(); // and not in the middle of a word elsewhere
}

// --- what is said of the line -------------------------------------------------------------------------------------------

/** How the line is: "live", "trying" or "off", and in words. */
export function line(state, words) {
  document.body.dataset.line = state;
  if (state === "live") find("asks").hidden = true;
  if (find("line").textContent !== words) find("line").textContent = words;
}

/** Say something across the page; nothing where there is nothing to say. `kind` is "bad" or "good". */
export function banner(words = "", kind = "bad") {
  const element = find("banner");
  element.dataset.kind = kind;
  if (element.textContent !== words) element.textContent = words;
  element.hidden = !words;
}

// --- words --------------------------------------------------------------------------------------------------------------

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const SECONDS = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long" });

const valid = (at) => (Number.isNaN(new Date(at).getTime()) ? new Date() : new Date(at));
export const time = (at) => TIME.format(valid(at));
export const seconds = (at) => SECONDS.format(valid(at));
export const day = (at) => DAY.format(valid(at));

/** "bed-1" is Bed 1; what is somebody's own name for something (RXN-OUT) stays as it is. */
export function words(name) {
  if (!/^[a-z][A-Za-z0-9_-]*$/.test(name)) return name;
  const spaced = name.replace(/([a-z])([A-Z])/g, (_, one, next) => `${one} ${next.toLowerCase()}`).replace(/[_-]+/g, " ");
  return spaced[0].toUpperCase() + spaced.slice(1);
}

/** What a channel is called on its page: ward:7:board is Ward 7 board. `from`: without so many of its first parts. */
export function heading(from = 0) {
  const parts = channel.split(/[:/]+/).filter(Boolean);
  return words((parts.length > from ? parts.slice(from) : parts).join("-")) || channel;
}

/** What somebody is called: application:ward-system is Ward system. */
export function person(member) {
  const [kind, name] = [member.slice(0, member.indexOf(":")), member.slice(member.indexOf(":") + 1)];
  if (kind === "operator") return `Operator ${name}`;
  if (kind === "person") return name.includes("/") ? `${name.slice(name.indexOf("/") + 1)} (${name.slice(0, name.indexOf("/"))})` : name;
  return words(name || member);
}
