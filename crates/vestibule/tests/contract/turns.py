"""Section 5: numbers, and turns that are over."""

from room import EVENT, NOBODY, at_once, row

EXPIRES = lambda room: room.expiry  # noqa: E731
OVER = "Queue position has expired"


@row("5.1 numbers are given once each, without gaps, whoever comes at the same time and whatever else is asked")
def _(room):
    def work(index):
        if index % 4 == 0:
            room.post("assign_queue_num", event_id="Other")
            room.ask("POST", "/wait/assign_queue_num", "{", {"Content-Type": "application/json"})
        return [room.join() for _ in range(10)]

    visitors = [visitor for joined in at_once(16, work) for visitor in joined]
    assert sorted(room.position(visitor) for visitor in visitors) == list(range(1, 161))
    assert room.waiting() == 160


@row("5.1 numbers are given in the order of arrival, and each visitor's stays")
def _(room):
    visitors = room.joins(20)
    assert [room.position(visitor) for visitor in visitors] == list(range(1, 21))
    room.increment(30)
    late = room.join()
    assert [room.position(visitor) for visitor in [*visitors, late]] == list(range(1, 22))


@row("5.2 a turn begins when the number is reached, if the visitor is there", when=EXPIRES)
def _(room):
    visitor = room.join()
    room.later(3 * room.expiry)
    room.left(visitor).says(202, "Request ID not being served yet")
    room.increment(1)
    room.left(visitor).is_(200, {"expires_in": room.expiry})


@row("5.2 a turn begins when the visitor comes, if the number is reached", when=EXPIRES)
def _(room):
    room.increment(5)
    room.later(3 * room.expiry)
    visitor = room.join()
    room.left(visitor).is_(200, {"expires_in": room.expiry})
    room.later(room.expiry - 1)
    room.left(visitor).is_(200, {"expires_in": 1})
    room.token(visitor).has(200)


@row("5.2 each increment has a clock of its own", when=EXPIRES)
def _(room):
    visitors, half = room.joins(3), room.expiry // 2
    room.increment(1)
    room.later(half)
    room.increment(1)
    room.left(visitors[0]).is_(200, {"expires_in": room.expiry - half})
    room.left(visitors[1]).is_(200, {"expires_in": room.expiry})
    room.later(room.expiry - half + 1)
    room.left(visitors[0]).says(410, OVER)
    room.token(visitors[0]).says(410, OVER)
    room.left(visitors[1]).is_(200, {"expires_in": half - 1})
    room.token(visitors[1]).has(200)


@row("5.2 a turn can be taken in its last second, and 5.3 strictly it is passed on in that one", when=EXPIRES)
def _(room):
    visitors = room.joins(2)
    room.increment(1)
    room.wait(room.expiry)
    if room.strict:
        room.left(visitors[0]).says(410, OVER)
        room.token(visitors[0]).says(410, OVER)
    else:
        room.left(visitors[0]).is_(200, {"expires_in": 0})
        room.token(visitors[0]).has(200)
    passed_on = room.strict and room.passes_on
    assert (room.serving(), room.waiting()) == ((2, 1) if passed_on else (1, 2 if room.strict else 1))


@row("5.2 who waits does not expire", when=EXPIRES)
def _(room):
    visitors = room.joins(2)
    room.increment(1)
    room.token(visitors[0]).has(200)
    room.later(50 * room.expiry + 1)
    room.left(visitors[1]).says(202, "Request ID not being served yet")
    room.increment(1)
    room.left(visitors[1]).is_(200, {"expires_in": room.expiry})
    room.token(visitors[1]).has(200)


@row("5.2 without expiry a turn has no end", when=lambda room: not room.expiry)
def _(room):
    visitors = room.joins(3)
    room.increment(2)
    room.wait(10_000_000)
    room.token(visitors[0]).has(200)
    assert (room.serving(), room.waiting()) == (2, 2)
    room.token(visitors[2]).says(202, "Request ID not being served yet")


@row("5.3 turns that nobody took go to the next in line, or are lost", when=EXPIRES)
def _(room):
    visitors = room.joins(6)
    room.increment(4)
    for visitor in visitors[:2]:
        room.token(visitor).has(200)
    room.wait(room.expiry + 1)
    for visitor in visitors[2:4]:
        room.token(visitor).says(410, OVER)
        room.left(visitor).says(410, OVER)
    if not room.passes_on:
        assert (room.serving(), room.waiting()) == (4, 4)
        room.token(visitors[4]).says(202, "Request ID not being served yet")
        return
    assert (room.serving(), room.waiting()) == (6, 2)
    for visitor in visitors[4:]:
        room.left(visitor).is_(200, {"expires_in": room.expiry})
        room.token(visitor).has(200)
    assert room.waiting() == 0
    detail = {"previous_serving_counter_position": 4, "increment_by": 2, "current_serving_counter_position": 6}
    assert room.told("automatic_serving_counter_incr", **detail)
    assert all(event["data"].keys() == detail.keys() for event in room.events("automatic_serving_counter_incr"))


@row("5.3 what is passed on is passed on again, to those too who are yet to come", when=lambda room: room.passes_on)
def _(room):
    room.joins(2)
    room.increment(1)
    for passed, serving in [(1, 2), (2, 3)]:
        room.wait(room.expiry + 1)
        assert (room.serving(), room.waiting()) == (serving, 2 - passed)
    late = room.join()
    room.left(late).is_(200, {"expires_in": room.expiry})
    room.token(late).has(200)
    assert room.waiting() == 0


@row("5.3 a sweep goes as far as turns are over, and no further", when=EXPIRES)
def _(room):
    visitors, half = room.joins(5), room.expiry - room.expiry // 2
    room.increment(2)
    room.later(half)
    room.increment(1)
    room.wait(room.expiry // 2 + 1)
    room.token(visitors[1]).says(410, OVER)
    room.token(visitors[2]).has(200)
    assert room.serving() == (5 if room.passes_on else 3)


@row("5.3 a serving number ahead of the line does not stop it, unless strictly", when=EXPIRES)
def _(room):
    room.increment(10)
    visitors = room.joins(3)
    room.wait(room.expiry + 1)
    for visitor in visitors:
        room.token(visitor).says(410, OVER)
    goes_on = room.passes_on and not room.strict
    assert (room.serving(), room.waiting()) == ((13, 0) if goes_on else (10, 3))
    late = room.join()
    room.left(late).is_(200, {"expires_in": room.expiry})
    room.token(late).has(200)


@row("5.3 an increment of nothing restarts no clock, unless strictly", when=EXPIRES)
def _(room):
    visitor = room.join()
    room.increment(1)
    room.later(room.expiry - 1)
    room.increment(0)
    room.later(2)
    if room.strict:
        room.token(visitor).has(200)
    else:
        room.token(visitor).says(410, OVER)


@row("5.3 who took a turn is not forgotten when the number goes down and up again, unless strictly", when=lambda room: room.passes_on)
def _(room):
    visitors = room.joins(3)
    room.increment(2)
    room.token(visitors[0]).has(200)
    room.increment(-1)
    room.increment(1)
    room.wait(room.expiry + 1)
    assert (room.serving(), room.waiting()) == ((4, 0) if room.strict else (3, 1))


@row("5.3 a token that was issued is no turn that is passed on", when=EXPIRES)
def _(room):
    visitors = room.joins(4)
    room.increment(2)
    for visitor in visitors[:2]:
        room.token(visitor).has(200)
    room.end(visitors[0], -1)
    room.wait(room.expiry + 1)
    assert (room.serving(), room.waiting()) == (2, 2)


@row("5 each place is accounted for: it waits, was let in, or its turn was passed on")
def _(room):
    visitors = room.joins(12)
    room.increment(6)
    for visitor in visitors[:3]:
        room.token(visitor).has(200)
    room.end(visitors[0], 1)
    room.end(visitors[1], -1)
    room.wait((room.expiry or 10) + 1)
    tokens, over, passed_on = 3, 3 if room.expiry else 0, 3 if room.passes_on else 0
    assert room.serving() == 6 + passed_on
    assert room.waiting() == 12 - tokens - passed_on
    told = [room.token(visitor) for visitor in visitors]
    count = lambda status, error: sum(answer.status == status and error in answer.body.decode() for answer in told)  # noqa: E731
    assert count(410, OVER) == over
    assert count(410, "Token corresponding") == 2
    assert count(200, "access_token") == 1 + (3 if room.passes_on or not room.expiry else 0)
    assert count(202, "not being served") == 12 - 6 - passed_on
    assert len(told) == 12 and room.position(room.join()) == 13
    assert {EVENT, NOBODY}.isdisjoint(visitors)


@row("5.2 who waits again because the number was lowered does not expire, unless strictly", when=EXPIRES)
def _(room):
    visitors = room.joins(5)
    room.increment(4)
    room.increment(-3)
    room.token(visitors[0]).has(200)
    room.wait(room.expiry + 1)
    room.left(visitors[4]).says(202, "Request ID not being served yet")
    assert room.serving() == (4 if room.strict and room.passes_on else 1)
    room.increment(3)
    if room.strict:
        room.left(visitors[2]).says(410, OVER)
        return
    room.left(visitors[2]).is_(200, {"expires_in": room.expiry})
    for visitor in visitors[1:4]:
        room.token(visitor).has(200)
    assert (room.serving(), room.waiting()) == (4, 1)
