"""Section 4: what operators ask, who sign as for AWS."""

import json

from room import EVENT, NOBODY, at_once, row

GONE = "Request ID doesn't exist or status already set."


@row("4 the serving number moves by any whole number, and may be ahead of the line or below nothing")
def _(room):
    room.joins(2)
    for by, serving in [(5, 5), (0, 5), (-7, -2), (1_000_000, 999_998), (-999_998, 0), (3.0, 3)]:
        room.increment(by).is_(200, {"serving_num": serving})
        assert room.serving() == serving
    room.operate("increment_serving_counter", event_id="Other", increment_by=5).says(400, "Invalid event ID")
    for by in [1.5, -0.5, "1"]:
        room.increment(by).refuses(400, "Invalid request body")
    assert room.serving() == 3


@row("4 increments that are made at once are all made")
def _(room):
    told = at_once(12, lambda _: room.increment(3).has(200).json()["serving_num"])
    assert sorted(told) == [3 * number for number in range(1, 13)] and room.serving() == 36


@row("4 an operator may choose issuer and validity of a token when it is issued, and for that one only")
def _(room):
    visitors = room.joins(3)
    room.increment(3)
    wish = {"issuer": "https://own.example/x", "validity_period": 60.9}
    chosen = room.operate("generate_token", request_id=visitors[0], **wish).has(200).json()
    assert chosen["expires_in"] == 60
    claims = room.facts["claims"](room, chosen["access_token"])
    assert (claims["iss"], claims["exp"] - claims["iat"]) == ("https://own.example/x", 60)
    assert room.token(visitors[0]).has(200).json() == chosen
    again = {"issuer": "https://late.example", "validity_period": 5}
    assert room.operate("generate_token", request_id=visitors[0], **again).has(200).json() == chosen
    assert room.operate("generate_token", request_id=visitors[1]).has(200).json()["expires_in"] == 3600
    ignored = room.token(visitors[2], **wish).has(200).json()
    claims = room.facts["claims"](room, ignored["access_token"])
    assert (claims["iss"], ignored["expires_in"]) == ("https://wait.example/api", 3600)


@row("4 an operator is refused a turn for the same reasons as a visitor")
def _(room):
    visitor = room.join()
    ask = lambda **members: room.operate("generate_token", **members)
    ask(request_id="x").says(400, "Invalid event or request ID")
    ask(event_id="Other", request_id=visitor).says(400, "Invalid event or request ID")
    ask(request_id=NOBODY).says(400, "Invalid request ID")
    ask(request_id=visitor).says(202, "Request ID not being served yet")
    room.increment(1)
    ask(request_id=visitor, validity_period=-1).refuses(400, "Invalid request body")
    ask(request_id=visitor).has(200)
    room.end(visitor, 1)
    ask(request_id=visitor).says(410, "Token corresponding to request id has expired")


@row("4 a visit ends once, and nothing else changes by it")
def _(room):
    visitors = room.joins(4)
    room.increment(3)
    for visitor in visitors[:3]:
        room.token(visitor).has(200)
    before = [room.queue_num(visitor).body for visitor in visitors] + [room.serving(), room.waiting()]
    room.end(visitors[0], 1).has(200).json()
    room.end(visitors[1], -1).has(200)
    room.end(visitors[2], -1.7).has(200)
    for visitor in [*visitors, NOBODY]:
        for status in [1, -1]:
            room.end(visitor, status).says(404, GONE)
    room.operate("update_session", event_id="x", request_id=visitors[0], status=1).says(400, "Invalid event or request ID")
    assert [room.queue_num(visitor).body for visitor in visitors] + [room.serving(), room.waiting()] == before
    for visitor, status in zip(visitors, ["completed", "abandoned", "abandoned"]):
        detail = {"event_id": EVENT, "request_id": visitor, "status": status}
        assert room.told("session_updated", request_id=visitor) and all(
            event["data"] == detail for event in room.events("session_updated", request_id=visitor)
        )


@row("4 other endings are refused and change nothing")
def _(room):
    visitor = room.join()
    room.increment(1)
    room.token(visitor).has(200)
    for status in [0, 2, -2, 100, 0.9, 1e300]:
        room.end(visitor, status).has(400)
    assert room.active() == 1
    room.end(visitor, 1).has(200)


@row("4 a visit whose token has expired can end, too")
def _(room):
    visitors = room.joins(2)
    room.increment(2)
    room.token(visitors[0])
    room.later(9000)
    room.end(visitors[0], 1).has(200)
    room.end(visitors[1], 1).says(404, GONE)


@row("4 tokens are active until the second in which they expire, and then they are listed, whatever became of the visit")
def _(room):
    visitors = room.joins(3)
    room.increment(3)
    for visitor in visitors:
        room.token(visitor).has(200)
    room.end(visitors[0], 1)
    assert (room.active(), room.expired()) == (2, [])
    room.later(3600)
    assert (room.active(), room.expired()) == (2, [])
    room.later(1)
    assert (room.active(), sorted(room.expired())) == (0, sorted(visitors))
    for path in ["num_active_tokens", "expired_tokens"]:
        room.signed("GET", path, query={"event_id": "Other"}).says(400, "Invalid event ID")


@row("4 the whole list of expired tokens comes at once")
def _(room):
    visitors = room.joins(150)
    room.increment(150)
    for visitor in visitors:
        room.operate("generate_token", request_id=visitor, validity_period=1).has(200)
    room.later(2)
    assert sorted(room.expired()) == sorted(visitors)


@row("4 a reset begins everything anew at once, and tokens of before still verify")
def _(room):
    visitors = room.joins(3)
    room.increment(5)
    access = room.token(visitors[0]).has(200).json()["access_token"]
    room.end(visitors[0], 1)
    assert list(room.operate("reset_initial_state").has(200).json()) == ["message"]
    assert (room.serving(), room.waiting(), room.active(), room.expired()) == (0, 0, 0, [])
    for visitor in visitors:
        room.queue_num(visitor).says(202, "Request ID not found")
        room.token(visitor).says(400, "Invalid request ID")
        room.end(visitor, 1).says(404, GONE)
    assert room.position(room.join()) == 1
    assert room.facts["claims"](room, access)["sub"] == visitors[0]
    room.ask("GET", "/store/checkout", headers={"Authorization": access}).has(200)
    room.ask("GET", "/checked/checkout", headers={"Authorization": access}).has(403)


@row("4 joins while it is reset have a place in one of the two and no other, and none is 5xx")
def _(room):
    def work(index):
        if index == 0:
            return room.reset()
        return room.post("assign_queue_num")

    visitors = [answer.has(200).json()["api_request_id"] for answer in at_once(16, work)[1:]]
    found = [room.queue_num(visitor) for visitor in visitors]
    places = [answer.json()["queue_number"] for answer in found if answer.status == 200]
    assert sorted(places) == list(range(1, len(places) + 1)), places
    assert all(answer.status == 202 for answer in found if answer.status != 200)


@row("4 a reset of another event does nothing: it is refused, or strictly answered as if it were done")
def _(room):
    room.join()
    answer = room.operate("reset_initial_state", event_id="Other")
    if room.strict:
        assert list(answer.has(200).json()) == ["message"]
    else:
        answer.says(400, "Invalid event ID")
    assert room.waiting() == 1


@row("4 what is signed for another request, another time or by nobody is refused, and changes nothing")
def _(room):
    body = json.dumps({"event_id": EVENT, "increment_by": 5})
    seen = {}
    ask, room.ask = room.ask, lambda *sent: seen.setdefault("sent", sent) and ask(*sent)
    try:
        room.signed("POST", "increment_serving_counter", body=body).is_(200, {"serving_num": 5})
    finally:
        del room.ask
    method, target, _, headers = seen["sent"]
    for sent in [
        (method, target, body.replace("5", "9"), headers),
        (method, "/operate/reset_initial_state", body, headers),
        (method, target + "?x=1", body, headers),
        (method, target, body, headers | {"X-Amz-Date": headers["X-Amz-Date"].replace("Z", "z")}),
        (method, target, body, headers | {"Authorization": headers["Authorization"].replace("Credential=", "Credential=X")}),
        (method, target, body, headers | {"Authorization": headers["Authorization"].replace("execute-api", "s3")}),
        (method, target, body, headers | {"X-Amz-Security-Token": "another"}),
    ]:
        assert list(room.ask(*sent).has(403).json()) == ["message"], sent
    room.later(301)
    room.ask(*seen["sent"]).has(403)
    assert room.serving() == 5
