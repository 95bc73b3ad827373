"""Sections 7, 10, 11 and 12: what others are told, inlets, and whole journeys as front ends and panels make them."""

import calendar
import json
import random
import threading

from room import EVENT, Room, at_once, row, until
from tokens import claims


TELLS = lambda room: room.tells  # noqa: E731


@row("7 each minute others are told what is counted, as texts but for one", when=TELLS)
def _(room):
    visitors = room.joins(5)
    room.increment(3)
    for visitor in visitors[:3]:
        room.token(visitor).has(200)
    room.end(visitors[0], 1)
    room.end(visitors[1], -1)
    room.wait(61)
    detail = {
        "event_id": EVENT, "num_active_tokens": 1, "total_num_tokens": "3", "queue_counter": "5", "serving_number": "3",
        "completed_sessions": "1", "abandoned_sessions": "1",
    }  # fmt: skip
    event = room.told("waiting_room_metrics", **detail)[-1]
    assert (event["data"], event["source"]) == (detail, "custom.waitingroom"), event


@row("7 a token is told of with event and visitor, by its source", when=TELLS)
def _(room):
    visitor = room.join()
    room.increment(1)
    room.operate("generate_token", request_id=visitor).has(200)
    event = room.told("token_generated", request_id=visitor)[0]
    assert (event["source"], event["data"]) == ("custom.waitingroom", {"event_id": EVENT, "request_id": visitor}), event


def notice(room, most, exited=None, completed=(), abandoned=()):
    """What the original does with a notice of a site that so many fit into, by the private API; without its faults."""
    if not (exited or completed or abandoned):
        return room.serving()
    ended = 0
    for visitors, status in [(completed, 1), (abandoned, -1)]:
        ended += sum(room.end(visitor, status).status == 200 for visitor in visitors)
    free = most - room.active()
    if exited is not None and exited < free:
        by = exited
    else:
        by = ended if ended < free else free
    if exited or ended:
        return room.increment(by).has(200).json()["serving_num"]
    return room.serving()


@row("10 an inlet of a size keeps the site full, and lets in no more than fit, however a visit ends", when=lambda room: not room.strict)
def _(room):
    small = room.facts["small"]
    small.reset()
    visitors = small.joins(8)
    until("it is full", lambda: small.serving() == 3)
    small.operate("update_inlet", exited=2).is_(200, {"serving_num": 3})
    for visitor in visitors[:3]:
        small.token(visitor).has(200)
    small.operate("update_inlet", exited=2).is_(200, {"serving_num": 3})
    small.end(visitors[0], 1).has(200)
    assert small.serving() == 4
    leaving = {"completed": [visitors[1]], "abandoned": [visitors[2], visitors[2]]}
    small.operate("update_inlet", **leaving).is_(200, {"serving_num": 6})


@row("10 an inlet of a size lets in as the strategy of the original does by the private API", when=lambda room: room.strict)
def _(room):
    small, chance = room.facts["small"], random.Random(7)
    small.reset()
    pairs = list(zip(room.joins(40), small.joins(40)))
    small.operate("update_inlet").is_(200, {"message": "Nothing to process."})
    told = []
    for step in range(30):
        for one, other in pairs:
            answers = [room.token(one), small.token(other)]
            assert answers[0].status == answers[1].status, answers
        near = pairs[: room.serving() + 2]
        leaving = [chance.sample(near, chance.randrange(3)) for _ in range(2)]
        exited = chance.choice([None, 0, 1, 2, 5])
        expected = notice(room, 3, exited, *([one for one, _ in pairs] for pairs in leaving))
        members = {name: [other for _, other in pairs] for name, pairs in zip(["completed", "abandoned"], leaving)}
        members |= {"exited": str(exited) if step % 2 else exited} if exited is not None else {}
        answer = small.operate("update_inlet", **members).has(200).json()
        assert answer.get("serving_num", expected) == expected, (step, members, answer, expected)
        told.append(expected)
    assert small.serving() == room.serving() and len(set(told)) > 3, told


@row("11 a visitor of the sample site waits, pays and starts over")
def _(room):
    visitor, others = room.join(), room.joins(3)
    mine = until("there is a number", lambda: room.queue_num(visitor).status == 200 and room.position(visitor))
    assert int(room.get("serving_num").json()["serving_counter"]) < mine and room.waiting() == 4
    room.token(visitor).says(202, "Request ID not being served yet")
    room.increment(2)
    assert int(room.get("serving_num").json()["serving_counter"]) >= mine
    tokens = room.token(visitor).has(200).json()
    assert claims(room, tokens["access_token"])["exp"] == room.clock.now() + tokens["expires_in"]
    room.ask("GET", "/store/checkout", headers={"Authorization": tokens["access_token"]}).is_(200, {"result": "Success"})
    assert room.position(room.join()) == 1 + mine + len(others), "who loads the page again is at the end"


@row("11 a panel counts what is free, and operates")
def _(room):
    visitors = room.joins(5)

    def free():
        return room.serving() - (room.waiting() + room.active() + len(room.expired()))

    assert free() == -5
    room.increment(100).is_(200, {"serving_num": 100})
    assert free() == 95
    for visitor in visitors:
        room.token(visitor).has(200)
    assert (free(), room.active()) == (95, 5)
    room.later(3601)
    assert (free(), room.active(), len(room.expired())) == (95, 0, 5)
    room.reset()
    assert free() == 0


@row("12 a join that is sent again with its key is the same place")
def _(room):
    body, key = json.dumps({"event_id": EVENT}), "8f14e45f-ceea-467f-a1a2-a5d1c9b0e4f2"
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    joined = at_once(8, lambda _: room.ask("POST", "/wait/assign_queue_num", body, headers).has(200).json()["api_request_id"])
    assert len(set(joined)) == 1 and room.position(joined[0]) == 1 and room.waiting() == 1
    room.ask("POST", "/wait/assign_queue_num", body, headers | {"Idempotency-Key": "short"}).has(400)


@row("12 numbers are numbers where nothing of the original answers")
def _(room):
    visitor = room.join()
    room.increment(3)
    told = room.get("wait_time", request_id=visitor).has(200).json()
    assert (told["queue_number"], told["serving_counter"], told["wait_at_most"]) == (1, 3, 0), told
    assert room.get("room_state").has(200).json() == {"state": "open"}


@row("12 a reset is undone for an hour, with everything that was")
def _(room):
    visitors = room.joins(3)
    room.increment(2)
    token = room.token(visitors[0]).has(200).body
    before = [room.queue_num(visitor).body for visitor in visitors] + [room.serving(), room.active()]
    room.reset()
    room.operate("undo_reset", event_id="Other").says(400, "Invalid event ID")
    since = room.join()
    room.operate("undo_reset").has(200)
    assert [room.queue_num(visitor).body for visitor in visitors] + [room.serving(), room.active()] == before
    assert (room.token(visitors[0]).body, room.position(since)) == (token, 4)
    room.operate("undo_reset").has(404)
    room.reset()
    room.later(3600)
    room.operate("undo_reset").has(404)


@row("12 who gives no sign is passed over, may come back for a while, and is not counted as there", when=lambda room: room.looks)
def _(room):
    there = Room(room.facts, "There", "/there", "/there-operate")
    there.reset()
    visitors = there.joins(4)
    there.later(20)
    for visitor in visitors[2:]:
        for path in ["queue_num", "queue_pos_expiry", "serving_num", "waiting_num"]:
            answer = there.get(path, request_id=visitor)
            assert answer.headers["Cache-Control"] == "no-store", f"a sign is for no cache: {answer}"
    assert there.get("serving_num").headers["Cache-Control"] == "public, max-age=0, s-maxage=5"
    there.later(20)
    shown = there.shown("there")
    assert (shown["present"], shown["waiting"], shown["expired_queue_counter"]) == (2, 4, 0), shown
    there.operate("update_inlet", exited=1).is_(200, {"serving_num": 3})
    there.token(visitors[2]).has(200)
    there.token(visitors[3]).says(202, "Request ID not being served yet")
    assert (there.waiting(), there.shown("there")["expired_queue_counter"]) == (1, 2)
    there.left(visitors[0]).is_(200, {"expires_in": 60})
    there.token(visitors[0]).has(200)
    assert (there.waiting(), there.shown("there")["expired_queue_counter"]) == (1, 1)
    there.later(61)
    there.token(visitors[1]).says(410, "Queue position has expired")
    assert there.waiting() == 1


@row("5, 12 under everything at once places are unique and gapless, and nothing is answered with 5xx")
def _(room):
    done, visitors, lock = threading.Event(), [], threading.Lock()

    def visitor(chance):
        while not done.is_set():
            mine = room.join()
            with lock:
                visitors.append(mine)
            for asked in [room.queue_num(mine), room.token(mine), room.left(mine), room.get("serving_num"), room.get("waiting_num")]:
                assert asked.status < 500, asked
            if chance.random() < 0.3:
                assert room.end(mine, chance.choice([1, -1])).status < 500

    def operator(chance):
        for _ in range(40):
            room.increment(chance.randrange(-2, 8)).has(200)
            room.active()
        done.set()

    def work(index):
        try:
            (operator if index == 0 else visitor)(random.Random(index))
        finally:
            done.set()
        return "done"

    assert at_once(6, work) == ["done"] * 6
    places = sorted(room.position(visitor) for visitor in visitors)
    assert places == list(range(1, len(visitors) + 1))
    # Turns may end and be passed on while it is counted.
    until("each place is accounted for", lambda: room.waiting() == len(visitors) - room.active() - sum(
        b"Token corresponding" in room.token(visitor).body for visitor in visitors
    ))


@row("10 an inlet of the clock lets in within its window, once a minute")
def _(room):
    begins = calendar.timegm((2040, 1, 1, 0, 0, 0))
    clocked = Room(room.facts, "Clocked", "/clocked", "/clocked-operate")
    clocked.reset()
    for seconds, serving in [(0, 0), (1, 10), (60, 10), (61, 20), (299, 30), (300, 30), (900, 30)]:
        clocked.wait_until(begins + seconds)
        assert clocked.serving() == serving, (seconds, clocked.serving())
