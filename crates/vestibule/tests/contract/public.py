"""Sections 2 and 3: what holds for all questions, and what visitors ask."""

import base64
import hashlib
import json
import uuid

from room import EVENT, JSON, NOBODY, at_once, row

WORDS = "zzzzzzzz-\u00c4\u00d6\u00dc\u00df-____-0000-000000000000"
GETS = [
    ("/wait/queue_num", ["event_id", "request_id"]),
    ("/wait/serving_num", ["event_id"]),
    ("/wait/waiting_num", ["event_id"]),
    ("/wait/public_key", ["event_id"]),
    ("/wait/queue_pos_expiry", ["event_id", "request_id"]),
]
LOOKS = ["num_active_tokens", "expired_tokens"]
CHANGES = ["increment_serving_counter", "generate_token", "update_session", "reset_initial_state"]


@row("2 a request id is a UUID of version 4 in lower case")
def _(room):
    visitor = room.join()
    assert visitor == str(uuid.UUID(visitor)) and uuid.UUID(visitor).version == 4, visitor


@row("2 markup is taken out of ids, and what is left of it is text")
def _(room):
    visitor = room.join()
    for text in [f"<b>{visitor}</b>", f"{visitor[:8]}<!-- a > b -->{visitor[8:]}"]:
        assert room.position(text) == 1
    room.queue_num(f"&{visitor}").says(400, "Invalid event or request ID")
    assert room.get("serving_num", event_id=f"<i>{EVENT}</i>").status == 200
    room.get("serving_num", event_id=f"{EVENT}&").says(400, "Invalid event ID")
    room.post("assign_queue_num", event_id=f"<i>{EVENT}</i>").has(200)


@row("2 an id is words of 8, 4, 4, 4 and 12 letters of any script, in the case that they have")
def _(room):
    visitor = room.join()
    for text in [WORDS, visitor.upper() if visitor.upper() != visitor else NOBODY]:
        room.queue_num(text).says(202, "Request ID not found")
        room.token(text).says(400, "Invalid request ID")
    for text in ["x", visitor[:-1], visitor.replace("-", "_"), visitor.replace("-", " "), "!" + visitor]:
        room.queue_num(text).says(400, "Invalid event or request ID")
        room.token(text).says(400, "Invalid event or request ID")
        room.left(text).says(400, "Invalid event or request ID")
        room.end(text, 1).says(400, "Invalid event or request ID")


@row("2 what follows an id is not looked at strictly, and makes it malformed otherwise")
def _(room):
    text = room.join() + "junk"
    malformed = "Invalid event or request ID"
    strictly = [(202, "Request ID not found"), (400, "Invalid request ID"), (404, "Request ID doesn't exist or status already set.")]
    expected = strictly if room.strict else [(400, malformed)] * 3
    for answer, said in zip([room.queue_num(text), room.token(text), room.end(text, 1)], expected):
        answer.says(*said)


@row("2 a query parameter that is missing or blank is named")
def _(room):
    for target, names in GETS:
        listed = ", ".join(names)
        for query in ["", "?", "?" + "&".join(f"{name}=" for name in names), "?" + "&".join(f"{name}=%20" for name in names)]:
            room.ask("GET", target + query).refuses(400, f"Missing required request parameters: [{listed}]")
    room.ask("GET", f"/wait/queue_num?event_id={EVENT}").refuses(400, "Missing required request parameters: [request_id]")
    for path in LOOKS:
        room.signed("GET", path).refuses(400, "Missing required request parameters: [event_id]")


@row("2 a body that is no JSON or has not what it must have is refused before anything else")
def _(room):
    for body in ["", "{", "[]", "null", f'"{EVENT}"', "{}", '{"event_id": 7}', '{"event_id": null}', "[" * 500, "\xef\xbb\xbf{}"]:
        for path in ["assign_queue_num", "generate_token"]:
            room.ask("POST", f"/wait/{path}", body.encode("latin-1"), JSON).refuses(400, "Invalid request body")
        for path in CHANGES:
            room.signed("POST", path, body=body.encode("latin-1")).refuses(400, "Invalid request body")
    for members in [{"increment_by": "5"}, {"increment_by": None}, {"increment_by": True}, {}]:
        room.operate("increment_serving_counter", **members).refuses(400, "Invalid request body")
    for members in [{"status": "1"}, {"status": None}, {}]:
        room.operate("update_session", request_id=NOBODY, **members).refuses(400, "Invalid request body")
    for members in [{"validity_period": "60"}, {"issuer": 7}, {"issuer": None}, {"validity_period": None}]:
        room.token(NOBODY, **members).refuses(400, "Invalid request body")
        room.operate("generate_token", request_id=NOBODY, **members).refuses(400, "Invalid request body")
    assert (room.serving(), room.waiting()) == (0, 0)


@row("2 members that nobody asks for are ignored")
def _(room):
    visitor = room.post("assign_queue_num", more=[{"a": 1}]).has(200).json()["api_request_id"]
    room.operate("increment_serving_counter", increment_by=1, more={}).is_(200, {"serving_num": 1})
    room.token(visitor, more=None).has(200)


@row("2 every answer is JSON that any site may read, errors and refusals too")
def _(room):
    visitor = room.join()
    long = json.dumps({"event_id": "x" * 100_000})
    answers = [
        room.queue_num(visitor), room.queue_num(NOBODY), room.queue_num("x"), room.token(visitor), room.get("serving_num"),
        room.ask("GET", "/wait/serving_num"), room.ask("POST", "/wait/assign_queue_num", "{", JSON), room.increment(1),
        room.look("expired_tokens"), room.ask("GET", f"/operate/num_active_tokens?event_id={EVENT}"),
        room.ask("DELETE", "/wait/serving_num"),
    ]  # fmt: skip
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/json", answer
    for answer, status in [
        (room.ask("POST", "/wait/assign_queue_num", long, JSON), 413),
        (room.ask("POST", "/wait/assign_queue_num", f'{{"event_id":"{EVENT}"}}', {"Content-Type": "text/plain"}), 415),
    ]:
        answer.has(status).json()
    assert room.waiting() == 1


@row("2 paths and methods that there are not")
def _(room):
    for method, target in [
        ("GET", "/wait/assign_queue_num"), ("POST", "/wait/queue_num"), ("PUT", "/wait/generate_token"),
        ("DELETE", "/wait/serving_num"), ("GET", "/operate/increment_serving_counter"), ("POST", "/operate/expired_tokens"),
    ]:  # fmt: skip
        room.ask(method, target).refuses(403, "Missing Authentication Token")
    for target in ["/wait", "/wait/", "/wait/nothing", "/wait/increment_serving_counter", "/operate/queue_num", "/operate/queue_num/"]:
        answer = room.ask("GET", target)
        if room.strict:
            answer.refuses(403, "Missing Authentication Token")
        else:
            answer.has(404)


@row("2 a preflight is answered for every path without a credential")
def _(room):
    allowed = "Content-Type,X-Amz-Date,Authorization,X-Api-Key,X-Amz-Security-Token"
    gets = [target for target, _ in GETS] + [f"/operate/{path}" for path in LOOKS]
    posts = ["/wait/assign_queue_num", "/wait/generate_token"] + [f"/operate/{path}" for path in CHANGES]
    asks = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    for targets, methods in [(gets, "GET,OPTIONS"), (posts, "OPTIONS,POST")]:
        for target in targets:
            answer = room.ask("OPTIONS", target, headers=asks).has(200)
            assert (answer.body, answer.headers["Access-Control-Allow-Methods"]) == (b"", methods), answer
            expected = allowed if room.strict else allowed + ",Idempotency-Key"
            assert answer.headers["Access-Control-Allow-Headers"] == expected, answer


@row("2 the private API is nobody's without a signature or a token of an operator")
def _(room):
    visitor, body = room.join(), json.dumps({"event_id": EVENT, "increment_by": 5})
    for headers in [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "AWS4-HMAC-SHA256 nonsense"}]:
        for path in CHANGES:
            answer = room.ask("POST", f"/operate/{path}", body, JSON | headers).has(403)
            assert list(answer.json()) == ["message"], answer
        for path in LOOKS:
            room.ask("GET", f"/operate/{path}?event_id={EVENT}", headers=headers).has(403)
    bearer = {"Authorization": f"Bearer {room.facts['admin']}"}
    assert room.serving() == 0
    room.ask("POST", "/operate/increment_serving_counter", body, JSON | bearer).is_(200, {"serving_num": 5})
    assert room.position(visitor) == 1


@row("2 caches keep what stays for long, counters for seconds and nothing else")
def _(room):
    visitor = room.join()
    long, briefly, never = "public, max-age=5, s-maxage=86400", "public, max-age=0, s-maxage=5", "no-store"
    room.increment(1)
    kept = [
        (room.queue_num(visitor), long), (room.get("public_key"), long), (room.get("serving_num"), briefly),
        (room.get("waiting_num"), briefly), (room.left(visitor), briefly if room.expiry else never),
        (room.queue_num(NOBODY), never), (room.queue_num("x"), never), (room.get("serving_num", event_id="x"), never),
        (room.post("assign_queue_num"), never), (room.token(visitor), never), (room.left(NOBODY), never),
        (room.look("num_active_tokens"), never), (room.look("expired_tokens"), never), (room.increment(0), never),
    ]  # fmt: skip
    for answer, expected in kept:
        assert answer.headers["Cache-Control"] == expected, f"expected {expected}: {answer}"


@row("3.1 to join gives an id at once and each time another place")
def _(room):
    first, second = (room.post("assign_queue_num").has(200).json() for _ in range(2))
    assert list(first) == ["api_request_id"] and first != second
    assert [room.position(joined["api_request_id"]) for joined in [first, second]] == [1, 2]


@row("3.1 a join for another event burns no number: it is refused, or strictly gets an id that is never known")
def _(room):
    for event in ["sample", "Other", "", " ", f"{EVENT} ", f"{EVENT}&request_id=1"]:
        answer = room.post("assign_queue_num", event_id=event)
        if room.strict:
            visitor = answer.has(200).json()["api_request_id"]
            room.queue_num(visitor).says(202, "Request ID not found")
            room.token(visitor).says(400, "Invalid request ID")
        else:
            answer.says(400, "Invalid event ID")
    assert (room.waiting(), room.position(room.join())) == (0, 1)


@row("3.1 a body is JSON and nothing else")
def _(room):
    text = f'{{"event_id":"{EVENT}","note":"&MessageBody=x&request_id={NOBODY}"}}'
    visitor = room.ask("POST", "/wait/assign_queue_num", text, JSON).has(200).json()["api_request_id"]
    assert visitor != NOBODY and room.position(visitor) == 1
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/xml"]:
        room.ask("POST", "/wait/assign_queue_num", text, {"Content-Type": kind}).refuses(415, "Unsupported Media Type")
    room.ask("POST", "/wait/assign_queue_num", text, {"Content-Type": "application/json; charset=UTF-8"}).has(200)
    assert room.waiting() == 2


@row("3.2 the place of a visitor")
def _(room):
    visitor = room.join()
    room.later(7)
    expected = {"queue_number": 1, "entry_time": room.clock.now() - 7, "event_id": EVENT, "status": 1}
    room.queue_num(visitor).is_(200, expected)
    room.queue_num(NOBODY).says(202, "Request ID not found")
    room.queue_num("nonsense").says(400, "Invalid event or request ID")
    room.get("queue_num", event_id="Other", request_id=visitor).says(400, "Invalid event or request ID")


@row("3.2 a place never changes but by a reset")
def _(room):
    visitors = room.joins(2)
    before = [room.queue_num(visitor).body for visitor in visitors]
    room.increment(2)
    room.token(visitors[0]).has(200)
    room.end(visitors[0], -1).has(200)
    room.later(5000)
    room.increment(-9)
    assert [room.queue_num(visitor).body for visitor in visitors] == before
    room.reset()
    for visitor in visitors:
        room.queue_num(visitor).says(202, "Request ID not found")


@row("3.3 the serving number is a text of digits")
def _(room):
    room.get("serving_num").is_(200, {"serving_counter": "0"})
    room.increment(12)
    room.get("serving_num").is_(200, {"serving_counter": "12"})
    room.increment(-15)
    room.get("serving_num").is_(200, {"serving_counter": "-3"})
    room.get("serving_num", event_id="Other").says(400, "Invalid event ID")


@row("3.4 who waits is Q - T - X")
def _(room):
    visitors = room.joins(4)
    room.increment(1)
    room.get("waiting_num").is_(200, {"waiting_num": 4})
    room.token(visitors[0])
    room.get("waiting_num").is_(200, {"waiting_num": 3})
    room.end(visitors[0], 1)
    room.get("waiting_num").is_(200, {"waiting_num": 3})
    room.get("waiting_num", event_id="Other").says(400, "Invalid event ID")


@row("3.5 a turn is asked for in this order")
def _(room):
    visitors = room.joins(3)
    room.post("generate_token", event_id="Other", request_id="x").says(400, "Invalid event or request ID")
    room.post("generate_token", event_id="Other", request_id=visitors[0]).says(400, "Invalid event or request ID")
    room.token("nonsense").says(400, "Invalid event or request ID")
    room.token(NOBODY).says(400, "Invalid request ID")
    room.token(visitors[0]).says(202, "Request ID not being served yet")
    room.increment(2)
    first = room.token(visitors[0]).has(200)
    room.token(visitors[1]).has(200)
    room.token(visitors[2]).says(202, "Request ID not being served yet")
    assert room.token(visitors[0]).body == first.body
    for visitor, status in zip(visitors, [1, -1]):
        room.end(visitor, status).has(200)
        room.token(visitor).says(410, "Token corresponding to request id has expired")


@row("3.5 a turn that nobody took in time is over, and one that was taken is not", when=lambda room: room.expiry)
def _(room):
    visitors = room.joins(2)
    room.increment(2)
    room.token(visitors[0]).has(200)
    room.later(room.expiry + 1)
    room.token(visitors[1]).says(410, "Queue position has expired")
    room.operate("generate_token", request_id=visitors[1]).says(410, "Queue position has expired")
    room.token(visitors[0]).has(200)


@row("3.5 a token outlives a serving number that is lowered, unless strictly")
def _(room):
    visitors = room.joins(2)
    room.increment(2)
    tokens = [room.token(visitor).has(200).body for visitor in visitors]
    room.end(visitors[1], 1)
    room.increment(-2)
    if room.strict:
        for visitor in visitors:
            room.token(visitor).says(202, "Request ID not being served yet")
        room.increment(2)
    assert room.token(visitors[0]).body == tokens[0]
    room.token(visitors[1]).says(410, "Token corresponding to request id has expired")


@row("3.5 a token is issued once and told again, without renewal, when it has expired too")
def _(room):
    visitor = room.join()
    room.increment(1)
    first = room.token(visitor).has(200).json()
    assert list(first) == ["access_token", "refresh_token", "id_token", "token_type", "expires_in"], first
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 3600)
    for seconds, left in [(100, 3500), (3499, 1), (1, 0), (5000, 0)]:
        room.later(seconds)
        assert room.token(visitor).has(200).json() == first | {"expires_in": left}
    assert room.operate("generate_token", request_id=visitor).has(200).json() == first | {"expires_in": 0}


@row("3.5 who asks for a turn many times at once has one token, which is counted and told once")
def _(room):
    visitor = room.join()
    room.increment(1)
    bodies = {answer.has(200).body for answer in at_once(12, lambda _: room.token(visitor))}
    assert len(bodies) == 1, bodies
    assert (room.waiting(), room.active()) == (0, 1)
    room.told("token_generated", request_id=visitor)
    last = room.join()
    room.told("visitor_joined", request_id=last)
    told = {event["id"]: event["data"] for event in room.events("token_generated", request_id=visitor)}
    assert list(told.values()) == ([{"event_id": EVENT, "request_id": visitor}] if room.tells else []), told


@row("3.6 the key that tokens are signed with is one public JWK")
def _(room):
    key = room.get("public_key").has(200).json()
    assert sorted(key) == ["alg", "e", "kid", "kty", "n"], key
    assert (key["kty"], key["alg"], key["e"], len(key["n"])) == ("RSA", "RS256", "AQAB", 342)
    thumbprint = json.dumps({"e": key["e"], "kty": key["kty"], "n": key["n"]}, separators=(",", ":")).encode()
    assert key["kid"] == base64.urlsafe_b64encode(hashlib.sha256(thumbprint).digest()).decode().rstrip("="), key
    room.get("public_key", event_id="Other").says(400, "Invalid request ID")


@row("3.7 for how long a turn can be taken, where that has no end", when=lambda room: not room.expiry)
def _(room):
    visitor = room.join()
    room.left("nonsense").says(400, "Invalid event or request ID")
    room.get("queue_pos_expiry", event_id="Other", request_id=visitor).says(400, "Invalid event or request ID")
    room.increment(1)
    for known in [visitor, NOBODY]:
        room.left(known).says(202, "Queue position expiration not enabled")


@row("3.7 for how long a turn can be taken, in this order", when=lambda room: room.expiry)
def _(room):
    visitor = room.join()
    room.left("nonsense").says(400, "Invalid event or request ID")
    room.get("queue_pos_expiry", event_id="Other", request_id=visitor).says(400, "Invalid event or request ID")
    room.left(NOBODY).says(404, "Invalid request ID")
    room.left(visitor).says(202, "Request ID not being served yet")
    room.increment(1)
    room.left(visitor).is_(200, {"expires_in": room.expiry})
    room.later(room.expiry - 1)
    room.left(visitor).is_(200, {"expires_in": 1})
    room.later(2)
    room.left(visitor).says(410, "Queue position has expired")


@row("3.7 it knows nothing of tokens", when=lambda room: room.expiry)
def _(room):
    visitor = room.join()
    room.increment(1)
    room.token(visitor).has(200)
    room.later(room.expiry - 1)
    room.left(visitor).is_(200, {"expires_in": 1})
    room.later(2)
    room.left(visitor).says(410, "Queue position has expired")
    room.token(visitor).has(200)
