"""Section 9: the room as the provider of an OpenID client."""

import base64
import urllib.parse

import jwt

from room import EVENT, NOBODY, row
from tokens import claims

BACK = "https://shop.example/oauth2/idpresponse"
OIDC = "https://wait.example/oidc"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ASKED = {"client_id": EVENT, "redirect_uri": BACK, "response_type": "code", "scope": "openid", "state": "a&b=c d"}


def authorize(room, **changed):
    return room.ask("GET", "/oidc/authorize?" + urllib.parse.urlencode(ASKED | changed))


def exchange(room, code, headers=None, **changed):
    form = {"client_id": EVENT, "client_secret": room.facts["secret"], "code": code, "grant_type": "authorization_code"} | changed
    form = {name: value for name, value in form.items() if value is not None}
    return room.ask("POST", "/oidc/token", urllib.parse.urlencode(form), FORM | (headers or {}))


def info(room, token):
    return room.ask("GET", "/oidc/userInfo", headers={"Authorization": token} if token is not None else {})


def bad(answer):
    assert (answer.status, answer.body, answer.headers["Location"]) == (400, b"Bad Request", None), answer


@row("9 the configuration tells where everything is")
def _(room):
    room.ask("GET", "/oidc/.well-known/openid-configuration").is_(200, {
        "issuer": OIDC, "authorization_endpoint": f"{OIDC}/authorize", "token_endpoint": f"{OIDC}/token",
        "userinfo_endpoint": f"{OIDC}/userInfo", "jwks_uri": f"{OIDC}/.well-known/jwks.json",
        "response_types_supported": ["code"], "scopes_supported": ["openid"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    })  # fmt: skip


@row("9 the keys are those that tokens are signed with")
def _(room):
    keys = room.ask("GET", "/oidc/.well-known/jwks.json").has(200).json()
    public = room.get("public_key").json()
    assert list(keys) == ["keys"] and any(public.items() <= key.items() for key in keys["keys"]), keys
    assert all({"d", "p", "q"}.isdisjoint(key) for key in keys["keys"])


@row("9 authorize leads to the page where people join, whether encoded once or twice")
def _(room):
    for encode in [str, urllib.parse.quote_plus]:
        answer = authorize(room, redirect_uri=encode(BACK)).has(302)
        address, _, query = answer.headers["Location"].partition("?")
        assert address == "https://web.example/login.html", answer
        assert dict(urllib.parse.parse_qsl(query)) == ASKED, answer


@row("9 authorize leads nobody anywhere else")
def _(room):
    for changed in [
        {"client_id": "Other"}, {"redirect_uri": "https://evil.example/oauth2/idpresponse"}, {"redirect_uri": BACK + "/.."},
        {"redirect_uri": BACK + "?x=1"}, {"redirect_uri": ""}, {"response_type": "token"}, {"response_type": "code token"},
        {"scope": "openid email"}, {"scope": "email"}, {"scope": ""}, {"client_id": ""},
    ]:  # fmt: skip
        bad(authorize(room, **changed))
    bad(room.ask("GET", "/oidc/authorize"))


@row("9 a code is good for tokens once its turn has come, by either kind of credential, as often as it is shown")
def _(room):
    visitors = room.joins(2)
    bad(exchange(room, visitors[0]))
    room.increment(2)
    first = exchange(room, visitors[0]).has(200).json()
    assert list(first) == ["access_token", "refresh_token", "id_token", "token_type", "expires_in"], first
    assert exchange(room, visitors[0]).has(200).json() == first
    assert claims(room, first["id_token"])["iss"] == OIDC
    assert exchange(room, visitors[0], redirect_uri="https://any.example").has(200).json() == first
    basic = base64.b64encode(f"{EVENT}:{room.facts['secret']}".encode()).decode()
    by_basic = exchange(room, visitors[1], {"Authorization": f"Basic {basic}"}, client_id=None, client_secret=None)
    assert jwt.get_unverified_header(by_basic.has(200).json()["access_token"])["alg"] == "RS256"
    assert room.waiting() == 0


@row("9 everything else is no code, and takes no turn")
def _(room):
    visitor = room.join()
    room.increment(1)
    wrong = base64.b64encode(f"{EVENT}:wrong".encode()).decode()
    for answer in [
        exchange(room, NOBODY), exchange(room, "nonsense"), exchange(room, ""), exchange(room, None),
        exchange(room, visitor, client_id="Other"), exchange(room, visitor, client_secret="wrong"),
        exchange(room, visitor, client_secret=None), exchange(room, visitor, grant_type="refresh_token"),
        exchange(room, visitor, grant_type=None), exchange(room, visitor, {"Authorization": f"Basic {wrong}"}),
    ]:  # fmt: skip
        bad(answer)
    room.ask("POST", "/oidc/token", "{}", {"Content-Type": "application/json"}).has(415)
    room.ask("GET", "/oidc/token").has(405)
    assert (room.waiting(), room.active()) == (1, 0)


@row("9 userInfo tells what an access token says that this room signed, and makes none")
def _(room):
    visitors = room.joins(2)
    room.increment(2)
    tokens = exchange(room, visitors[0]).has(200).json()
    access = tokens["access_token"]
    told = info(room, f"Bearer {access}").has(200).json()
    assert told == claims(room, access) and len(told) == 8, told
    head, payload, signature = access.split(".")
    forged = claims(room, access) | {"sub": visitors[1], "queue_position": 2}
    forged = jwt.encode(forged, "secret" * 8, "HS256", {"kid": jwt.get_unverified_header(access)["kid"]})
    for token in [tokens["id_token"], tokens["refresh_token"], forged, f"{head}.{payload}.", "nonsense", "a.b.c"]:
        bad(info(room, f"Bearer {token}"))
    for field in [None, "nonsense", access, "Basic eDp5"]:
        info(room, field).has(401)
    assert (room.waiting(), room.active()) == (1, 1)
    room.end(visitors[0], 1)
    bad(info(room, f"Bearer {access}"))
