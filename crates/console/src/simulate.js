// What becomes of a line if so many are let in, so many join, and so many do not show up.

/** How a line goes, a second at a time: who is let in, who does not show up, and when their turns are given again. */
export function outcome({ line, rate, join, absent, expiry }) {
  const [longest, again] = [48 * 3600, []];
  let [waiting, credit, given, seconds] = [line, 0, 0, 0];
  let first = null;
  while (seconds < longest) {
    seconds += 1;
    waiting += join / 60;
    const passed = expiry ? (again[seconds] ?? 0) : 0;
    credit += rate / 60 + passed;
    const turns = Math.min(waiting, credit);
    waiting -= turns;
    given += turns;
    // Turns that nobody waits for stay, and are not saved up beyond a second.
    credit = Math.min(credit - turns, rate / 60);
    if (expiry) again[seconds + Math.max(1, Math.round(expiry * 60))] = turns * (absent / 100);
    if (first === null && given >= line - 0.5) first = seconds;
    // Where nobody is in line, whether anybody will be shows later.
    if (line > 0 && waiting < 0.5 && first !== null) break;
  }
  return { seconds: waiting < 0.5 ? seconds : null, first, waiting: Math.round(waiting), visitors: Math.round(given * (1 - absent / 100)) };
}

/** A time as people say it. */
export const lasts = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`);

/** What becomes of it, in sentences. */
export function told(asked, number) {
  const found = outcome(asked);
  const { line, join } = asked;
  if (line === 0 && found.seconds !== null) return join > 0 ? "Nobody has to wait: no more join than are let in." : "Nobody is in line, and nobody joins.";
  const change = found.waiting - line;
  const why = change > 0 ? "more join than are let in" : change < 0 ? "the line gets shorter, and it takes longer than that" : "as many join as are let in";
  const all = found.seconds === null ? `After two days ${number(found.waiting)} ${line ? "still " : ""}wait: ${why}.` : `The line is empty after ${lasts(found.seconds)}.`;
  const last = found.first === null || line === 0 ? "" : ` Whoever is last now has their turn after ${lasts(found.first)}.`;
  return `${all}${last} ${number(found.visitors)} visitors come in${found.seconds === null ? " within that time" : ""}.`;
}
