"""Verifies tokens as sites written in Python do: with PyJWT, by the keys that the room publishes."""

import json
import sys

import jwt

jwks, issuer, access, identity = sys.argv[1:]
keys = jwt.PyJWKClient(jwks)


def verified(token, **other):
    expected = {"audience": "Sample", "issuer": issuer} | other
    required = {"require": ["exp", "iat", "nbf", "sub"]}
    return jwt.decode(token, keys.get_signing_key_from_jwt(token).key, algorithms=["RS256"], options=required, **expected)


def refused(token, **other):
    try:
        return verified(token, **other)
    except jwt.InvalidTokenError as error:
        return type(error).__name__


head, claims, signature = access.split(".")
print(
    json.dumps(
        {
            "access": verified(access),
            "id": verified(identity),
            "other audience": refused(access, audience="Other"),
            "other issuer": refused(access, issuer="https://other.example"),
            "forged": refused(".".join([head, identity.split(".")[1], signature])),
        }
    )
)
