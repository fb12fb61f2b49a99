// What is said in a conversation, as it is shown.

import { day, make, person, time } from "./page.js";

/** Show what is said in a list: what stands there already stays, so that nothing is read out twice, and nobody loses their place.
 * `back`: after this number one was away for `missed`. */
export function show(list, said, act, back) {
  const parts = [];
  let last = "";
  let parted = false;
  for (const each of said) {
    if (day(each.at) !== last) parts.push([`day ${(last = day(each.at))}`, () => make("li", { class: "note day" }, day(each.at))]);
    if (back && !parted && each.offset > back.after) {
      parted = true;
      const words = back.missed === 1 ? "1 message while you were away" : `${back.missed} messages while you were away`;
      parts.push([words, () => make("li", { class: "note back" }, words)]);
    }
    const { delivered, read, others, ...lasting } = each;
    parts.push([JSON.stringify(lasting), () => (each.happening === "say" ? bubble(each, act) : note(each)), each]);
  }
  place(list, parts);
}

/** Have a list show these, each known by what it says. */
function place(list, parts) {
  const known = new Map([...list.children].map((element) => [element.says, element]));
  const wanted = new Set(parts.map(([says]) => says));
  for (const [says, element] of known) if (!wanted.has(says)) element.remove();
  let next = list.firstElementChild;
  for (const [says, made, message] of parts) {
    const element = known.get(says) ?? made();
    element.says = says;
    const ticks = element.querySelector(".ticks");
    if (ticks) reached(ticks, message);
    if (element === next) next = next.nextElementSibling;
    else list.insertBefore(element, next);
  }
}

function note({ happening, sender, members, at }) {
  const what = {
    invite: members.length === 1 && members[0] === sender
      ? `${person(sender)} began the conversation`
      : `${person(sender)} asked ${members.filter((each) => each !== sender).map(person).join(", ")} to join`,
    leave: `${person(sender)} left`,
    close: `${person(sender)} closed the conversation`,
  }[happening];
  return make("li", { class: "note" }, `${what}, ${time(at)}`);
}

function bubble(message, act) {
  const { own, sender, text, retracted, former, corrected, at } = message;
  const parts = [make("p", { class: "who" }, own ? "You" : person(sender))];
  if (retracted) {
    const reason = retracted.reason ? `: ${retracted.reason}` : "";
    parts.push(make("p", { class: "gone" }, `Taken back at ${time(retracted.at)}${reason}`));
  } else {
    parts.push(make("p", { class: "text" }, text));
  }
  const before = retracted ? [...former, { text }] : former;
  if (before.length) {
    const each = before.map((wording) => make("p", {}, make("del", {}, wording.text)));
    parts.push(make("details", {}, make("summary", {}, retracted ? "What was said" : `Corrected at ${time(corrected)}: what it said before`), ...each));
  }
  const foot = make("p", { class: "foot" }, make("time", { datetime: at }, time(at)));
  if (own && !retracted) {
    foot.append(make("span", { class: "ticks" }), button("Correct", () => act.correct(message)), button("Take back", () => act.retract(message)));
  }
  parts.push(foot);
  const kind = [own ? "own" : "other", retracted ? "retracted" : "", corrected ? "corrected" : ""].filter(Boolean).join(" ");
  return make("li", { class: `bubble ${kind}`, "data-offset": message.offset }, ...parts);
}

function reached(ticks, { others, delivered, read }) {
  const some = (count, word) => (count < others ? ` ${word} ${count} of ${others}` : "");
  const words = read ? `✓✓ Read${some(read, "by")}` : delivered ? `✓✓ Delivered${some(delivered, "to")}` : "✓ Sent";
  if (ticks.textContent !== words) ticks.textContent = words;
  ticks.classList.toggle("read", read > 0 && read === others);
}

/** What waits to be sent. */
export function waiting({ id, text, refused }, act) {
  const foot = make("p", { class: "foot" });
  if (refused) {
    foot.append(make("span", { class: "refused" }, `Not sent: ${refused}`));
    foot.append(button("Try again", () => act.again(id)), button("Discard", () => act.discard(id)));
  } else {
    foot.append(make("span", {}, "◷ Waits to be sent"));
  }
  return make("li", { class: "bubble own waiting", "data-id": id }, make("p", { class: "who" }, "You"), make("p", { class: "text" }, text), foot);
}

function button(words, act) {
  const made = make("button", { type: "button", class: "plain" }, words);
  made.addEventListener("click", act);
  return made;
}
