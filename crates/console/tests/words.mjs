// Asks the scripts of the page, which stand before this, what they say.

import assert from "node:assert/strict";

// Raising: whom it lets in, where some places behind the number had their turn, and where it is below 0.
const room = { serving_counter: 5, in_line: 3, had_turn: 0, state: "open" };
assert.equal(raising(room, 2), "Raise: 2 of 3 whose turn has not come may come in.");
assert.equal(raising(room, 10), "Raise: 3 of 3 whose turn has not come may come in, and the next 7 who join need not wait.");
const lowered = { serving_counter: 2, in_line: 3, had_turn: 3, state: "open" };
assert.match(raising(lowered, 3), /^Raise: 0 to 3 of 3 whose turn has not come may come in\. 3 places behind the number had their turn already/);
assert.match(raising(lowered, 10), /^Raise: 3 of 3 .*, and the next 4 who join need not wait\. 3 places/);
const below = { serving_counter: -18, in_line: 8, had_turn: 0, state: "paused" };
assert.match(raising(below, 10), /^Raise: nobody may come in yet.* it is -8 then/);
assert.equal(raising(below, 20), "Raise: 2 of 8 whose turn has not come may come in, once it is open.");

// Lowering: to 0 at most.
assert.match(lowering(room, 2), /^Lower: to 3\. Whoever has a place from 4 to 5 /);
assert.match(lowering(room, 100_000), /^Lower: to 0\. Whoever has a place from 1 to 5 /);
assert.match(lowering(below, 1), /cannot be lower/);
assert.deepEqual([lowerable(room, 100_000), lowerable(below, 1)], [5, 0]);

// Who came in lately: what is known of it and no more, however short that is, and over a reset.
const samples = [[0, 0], [100, 500], [400, 900], [405, 2], [700, 12]].map(([at, tokens]) => ({ at, tokens }));
assert.deepEqual([cameIn([], 600), cameIn(samples.slice(0, 1), 600), cameIn(samples.slice(0, 2), 600)], [0, 0, 500]);
assert.deepEqual([cameIn(samples, 600), cameIn(samples, 601), cameIn(samples, 300)], [410, 910, 10]);

// What comes next: a warning only where the schedule would let more be done than the operator does.
const schedule = { pre_queue: 100, opens: 200, closes: 300 };
const next = (state, state_by, at) => nextOf({ state, state_by, schedule }, at * 1000);
assert.deepEqual(next("idle", "schedule", 50), { what: "visitors can join", when: 100, lets: 1 });
for (const [state, at, what, isMissed] of [
  ["open", 50, "it closes", undefined],
  ["passing-everybody", 50, "it closes", undefined],
  ["pre-queue", 50, "it opens", true],
  ["paused", 150, "it opens", true],
  ["closed", 50, "visitors can join", true],
  ["paused", 250, "it closes", undefined],
]) {
  const found = next(state, "operator", at);
  assert.deepEqual([found.what, found.isMissed], [what, isMissed], `${state} at ${at}`);
}
assert.equal(next("closed", "operator", 400), undefined);

// What operators did: what it came to, not what was before.
assert.equal(did({ actor: "ann", change: "moved", shows: { moved_by: 10, serving_counter: 1018 } }), "ann moved the serving number by +10 to 1,018");
assert.equal(did({ actor: "ann", change: "moved", shows: { moved_by: -3, serving_counter: 0 } }), "ann moved the serving number by -3 to 0");
assert.equal(did({ actor: "nightly", change: "moved", shows: { serving_num: 7 } }), "nightly moved the serving number to 7");
assert.equal(did({ actor: "ann", change: "set", shows: { state: "closed" } }), "ann set the state to closed");
assert.equal(did({ actor: "ann", change: "reset", shows: { state: "open", serving_counter: 0 } }), "ann reset the room");

// Which field is wrong, and what it takes.
const field = (name, min, max, step, valid) => ({ labels: [{ textContent: name }], min, max, step, validity: { valid } });
assert.equal(lacks(field("In line", "0", "10000000", "", true)), "");
assert.equal(lacks(field("By how many", "1", "1000000", "", false)), "By how many: fill in a whole number from 1 to 1,000,000.");
assert.equal(lacks(field("Let in per minute", "0.1", "95", "any", false)), "Let in per minute: fill in a number from 0.1 to 95.");

// What if: why a line is never empty, and nothing of whoever is last where nobody is.
const what = (asked) => told({ line: 1000, rate: 60, join: 0, absent: 0, expiry: 0, ...asked }, number);
assert.equal(what({}), "The line is empty after 17 min. Whoever is last now has their turn after 17 min. 1,000 visitors come in.");
assert.match(what({ join: 60 }), /^After two days 1,000 still wait: as many join as are let in\./);
assert.match(what({ join: 90 }), /^After two days 87,400 still wait: more join than are let in\./);
assert.match(what({ line: 10_000_000, rate: 0.1 }), /^After two days 9,999,712 still wait: the line gets shorter/);
assert.equal(what({ line: 0, join: 60 }), "Nobody has to wait: no more join than are let in.");
assert.equal(what({ line: 0 }), "Nobody is in line, and nobody joins.");
assert.match(what({ line: 0, join: 90 }), /^After two days 86,400 wait: more join than are let in\. 172,800 visitors/);
