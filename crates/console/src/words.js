// What is said of a room: what comes next, what raising and lowering do, what operators did.

export const number = (value) => Number(value).toLocaleString("en");

/** How much each state lets do: nothing, join, come in, and come in without waiting. */
const LETS = { idle: 0, closed: 0, "pre-queue": 1, paused: 1, open: 2, "passing-everybody": 3 };

/** What the schedule says comes next, and whether it does by itself: an operator's word holds until closing time. */
export function nextOf({ state, state_by: by, schedule }, now) {
  const isToCome = ({ when }) => when * 1000 > now;
  const [joins, opens, closes] = [{ what: "visitors can join", when: schedule.pre_queue, lets: 1 }, { what: "it opens", when: schedule.opens, lets: 2 }, { what: "it closes", when: schedule.closes }];
  if (by !== "operator") return [joins, opens, closes].find(isToCome);
  const missed = [joins, opens].find((next) => isToCome(next) && next.lets > LETS[state]);
  return missed ? { ...missed, isMissed: true } : [closes].find(isToCome);
}

/** What is to be written into a field instead of what is there; nothing, if that is right. */
export function lacks(field) {
  if (field.validity.valid) return "";
  const [what] = field.labels;
  const kind = field.step === "any" ? "a number" : "a whole number";
  return `${what.textContent}: fill in ${kind} from ${number(field.min)} to ${number(field.max)}.`;
}

/** What raising by so many would do. Numbers below 0 are nobody's, and some places behind a number that was lowered had their turn. */
export function raising({ in_line: line, had_turn: had, serving_counter: serving, state }, by) {
  const visitors = by - Math.max(0, -serving);
  if (visitors <= 0) return `Raise: nobody may come in yet, since the serving number is below 0: it is ${number(serving + by)} then.`;
  const [least, most] = [Math.max(0, Math.min(visitors, line + had) - had), Math.min(visitors, line)];
  const rest = Math.max(0, visitors - line - had);
  const comes = `${least < most ? `${number(least)} to ` : ""}${number(most)} of ${number(line)} whose turn has not come may come in`;
  const then = `${rest ? `, and the next ${number(rest)} who join need not wait` : ""}${state === "open" ? "" : ", once it is open"}`;
  return `Raise: ${comes}${then}.${had ? ` ${number(had)} places behind the number had their turn already, and count, too.` : ""}`;
}

/** How many came in during the last so many seconds, as far as is known. A reset counts from 0 again. */
export function cameIn(samples, seconds) {
  const since = (samples.at(-1)?.at ?? 0) - seconds;
  const each = samples.slice(1).map(({ at, tokens }, index) => (at > since ? Math.max(0, tokens - samples[index].tokens) : 0));
  return each.reduce((sum, more) => sum + more, 0);
}

/** By how much it can be lowered: to 0, below which there is nobody. */
export const lowerable = ({ serving_counter: serving }, by) => Math.min(by, Math.max(0, serving));

/** What lowering by so many would do. */
export function lowering(room, by) {
  const { serving_counter: serving } = room;
  const less = lowerable(room, by);
  if (!less) return "Lower: it cannot be lower than it is.";
  return `Lower: to ${number(serving - less)}. Whoever has a place from ${number(serving - less + 1)} to ${number(serving)} and has neither come in nor missed their turn waits again; who is in stays in.`;
}

const DONE = { moved: "moved the serving number", reset: "reset the room", restored: "undid a reset", set: "set the state", ended: "ended a visit", imported: "had another key sign", tuned: "changed the inlet", drawn: "had lots drawn", invited: "made invites" };

/** What somebody did, and what it came to. */
export function did({ actor, change, shows }) {
  const is = shows ?? {};
  const by = is.moved_by === undefined ? "" : ` by ${is.moved_by > 0 ? "+" : ""}${number(is.moved_by)}`;
  // What a program moved says no more than where the number was then.
  const serving = is.serving_counter ?? is.serving_num;
  const to = { set: is.state, moved: serving === undefined ? undefined : number(serving) }[change];
  return `${actor} ${DONE[change] ?? change}${change === "moved" ? by : ""}${to === undefined ? "" : ` to ${to}`}`;
}
