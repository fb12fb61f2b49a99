// What is said in a conversation, as it is shown.

import { day, make, person, time } from "./page.js";

/** The elements of a conversation: messages, days, what happened beside them. `back`: after this number one was away for `missed`. */
export function bubbles(said, act, back) {
  const made = [];
  let last = "";
  let parted = false;
  for (const each of said) {
    if (day(each.at) !== last) made.push(make("li", { class: "note day" }, (last = day(each.at))));
    if (back && !parted && each.offset > back.after) {
      parted = true;
      made.push(make("li", { class: "note back" }, back.missed === 1 ? "1 message while you were away" : `${back.missed} messages while you were away`));
    }
    made.push(each.happening === "say" ? bubble(each, act) : note(each));
  }
  return made;
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
    foot.append(reached(message));
    foot.append(button("Correct", () => act.correct(message)), button("Take back", () => act.retract(message)));
  }
  parts.push(foot);
  const kind = [own ? "own" : "other", retracted ? "retracted" : "", corrected ? "corrected" : ""].filter(Boolean).join(" ");
  return make("li", { class: `bubble ${kind}`, "data-offset": message.offset }, ...parts);
}

function reached({ others, delivered, read }) {
  const some = (count) => (others > 1 && count < others ? ` by ${count} of ${others}` : "");
  if (read) return make("span", { class: read === others ? "ticks read" : "ticks" }, "✓✓ ", `Read${some(read)}`);
  if (delivered) return make("span", { class: "ticks" }, "✓✓ ", `Delivered${others > 1 && delivered < others ? ` to ${delivered} of ${others}` : ""}`);
  return make("span", { class: "ticks" }, "✓ ", "Sent");
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
