"""Sections 6 and 8: tokens, as PyJWT reads them, and the doors that they open."""

import base64
import json

import jwt

from room import EVENT, row

ISSUER = "https://wait.example/api"


def claims(room, token, **options):
    """What a token says, if the published key signed it."""
    key = jwt.PyJWK.from_dict(room.get("public_key").has(200).json()).key
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False} | options
    return jwt.decode(token, key, algorithms=["RS256"], audience=EVENT, options=options)


def visit(room):
    """Somebody who is in: who, and with what."""
    visitor = room.join()
    room.increment(1)
    return visitor, room.token(visitor).has(200).json()


def open_(room, token, door="/store/checkout", **headers):
    return room.ask("GET", door, headers=({"Authorization": token} if token is not None else {}) | headers)


@row("6 three tokens have exactly eight claims, and differ in their use alone")
def _(room):
    visitor, tokens = visit(room)
    now = room.clock.now()
    for use, member in [("access", "access_token"), ("refresh", "refresh_token"), ("id", "id_token")]:
        header = jwt.get_unverified_header(tokens[member])
        assert header == {"alg": "RS256", "kid": room.get("public_key").json()["kid"], "typ": "JWT"}, header
        assert claims(room, tokens[member], verify_exp=True, verify_nbf=True, verify_iat=True) == {
            "aud": EVENT, "sub": visitor, "queue_position": 1, "token_use": use,
            "iat": now, "nbf": now, "exp": now + 3600, "iss": ISSUER,
        }  # fmt: skip


@row("6 whichever side issues a token again, it is the same with its kid")
def _(room):
    visitor, tokens = visit(room)
    assert room.operate("generate_token", request_id=visitor).has(200).json() == tokens
    other = room.join()
    room.increment(1)
    first = room.operate("generate_token", request_id=other, issuer="https://own.example").has(200).json()
    assert room.token(other).has(200).json() == first
    assert "kid" in jwt.get_unverified_header(first["access_token"])


@row("8 a door opens to access tokens alone, bare or behind Bearer, for every method and path")
def _(room):
    visitor, tokens = visit(room)
    access = tokens["access_token"]
    for token in [access, f"Bearer {access}"]:
        open_(room, token).is_(200, {"result": "Success"})
    for method, path in [("GET", "/search"), ("POST", "/layaway"), ("DELETE", "/a/b")]:
        room.ask(method, f"/store{path}", headers={"Authorization": access}).has(200)
    head, payload, signature = access.split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims(room, access) | {"sub": "x"}).encode()).decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    by_secret = jwt.encode(claims(room, access), "secret" * 8, "HS256", {"kid": jwt.get_unverified_header(access)["kid"]})
    for token in [
        tokens["id_token"], tokens["refresh_token"], f"{head}.{other}.{signature}", f"{unsigned}.{payload}.", by_secret,
        f"{head}.{payload}.", f"{head}.{payload}", access[:-5], "nonsense", "a.b.c", "", f"Basic {access}", visitor,
    ]:  # fmt: skip
        open_(room, token).has(403)
    open_(room, None).has(401)


@row("8 a door stays shut to another issuer, and to another event")
def _(room):
    visitor = room.join()
    room.increment(1)
    own = room.operate("generate_token", request_id=visitor, issuer="https://own.example").has(200).json()
    open_(room, own["access_token"]).has(403)
    small = room.facts["small"]
    small.reset()
    other = small.join()
    small.increment(1)
    open_(room, small.token(other).has(200).json()["access_token"]).has(403)


@row("8 a door is open to the second in which a token expires, and a minute before it is issued")
def _(room):
    _, tokens = visit(room)
    issued = room.clock.now()
    try:
        for moment, status in [(-61, 403), (-60, 200), (3600, 200), (3601, 403)]:
            room.clock.set(issued + moment)
            open_(room, tokens["access_token"]).has(status)
    finally:
        room.clock.set(issued + 3601)


@row("8 whether the visit has ended matters where it is checked")
def _(room):
    for status in [1, -1]:
        visitor, tokens = visit(room)
        assert [open_(room, tokens["access_token"], door).status for door in ["/store/x", "/checked/x"]] == [200, 200]
        room.end(visitor, status).has(200)
        assert [open_(room, tokens["access_token"], door).status for door in ["/store/x", "/checked/x"]] == [200, 403]


@row("8 pages of other sites may ask behind the door, and need no token to ask whether they may")
def _(room):
    asks = {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    answer = room.ask("OPTIONS", "/store/checkout", headers=asks)
    assert answer.status in (200, 204), answer
    assert (answer.headers["Access-Control-Allow-Origin"], answer.headers["Access-Control-Max-Age"]) == ("*", "600"), answer
    _, tokens = visit(room)
    for token, status in [(tokens["access_token"], 200), ("nonsense", 403), (None, 401)]:
        answer = open_(room, token, Origin="https://shop.example").has(status)
        assert answer.headers["Access-Control-Allow-Origin"] == "*", answer
