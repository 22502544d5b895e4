"""An identity provider on loopback, written from OpenID Connect Core and Discovery, and RFC 7636."""

import base64
import hashlib
import hmac
import json
import secrets
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter

from kept_study import Clock
from zweitblick.web import HttpServer

OF_OUR_OWN = JWSRegistry(
    header_registry={"exp2": HeaderParameter("of this test alone", "int")}, strict_check_header=False
)
AUDIENCE, CLIENT, SECRET = "https://zweitblick.example", "zweitblick-browser", "hush, hush"


class IdentityProvider:
    """Signs tokens, and logs in whoever is ``person``."""

    def __init__(self) -> None:
        self.begin(Clock())
        app = FastAPI(openapi_url=None)
        app.get("/.well-known/openid-configuration")(self._metadata)
        app.get("/jwks")(self._jwks)
        app.get("/authorize")(self._authorize)
        app.post("/token")(self._token)
        self._server = HttpServer(app, host="127.0.0.1", port=0)
        self.issuer = self._server.address

    def begin(self, clock: Clock) -> None:
        """Forget everything of before."""
        self.clock = clock
        self.keys = [new_key("first")]
        self.person: dict[str, Any] = {"sub": "anna", "roles": ["radiologist"], "name": "Anna", "tenant": "north"}
        self.is_away = False
        self.asked: list[str] = []
        self.said: dict[str, Any] = {}  # in place of what discovery says
        self.altered: dict[str, Any] = {}  # in place of what ID tokens say
        self._codes: dict[str, dict[str, str]] = {}

    def close(self) -> None:
        self._server.close()

    def access_token(self, key: ECKey | None = None, header: dict[str, Any] | None = None, **claims: object) -> str:
        """Sign a token that holds, but for what is given; what is None is left out."""
        return self._signed({"aud": AUDIENCE} | self.person | claims, key, header)

    def _signed(self, claims: dict[str, Any], key: ECKey | None = None, header: dict[str, Any] | None = None) -> str:
        now, key = int(self.clock().timestamp()), key or self.keys[-1]
        everything = {"iss": self.issuer, "iat": now, "exp": now + 300} | claims
        kept = {name: value for name, value in everything.items() if value is not None}
        algorithm = "ES256" if isinstance(key, ECKey) else "RS256"
        return jwt.encode({"alg": algorithm, "kid": key.kid} | (header or {}), kept, key, [algorithm], OF_OUR_OWN)

    def _metadata(self) -> JSONResponse:
        self.asked.append("metadata")
        said = {"issuer": self.issuer} | {
            name: f"{self.issuer}{path}"
            for name, path in (
                ("jwks_uri", "/jwks"),
                ("authorization_endpoint", "/authorize"),
                ("token_endpoint", "/token"),
            )
        }
        return JSONResponse(said | self.said, 503 if self.is_away else 200)

    def _jwks(self) -> JSONResponse:
        self.asked.append("jwks")
        return JSONResponse(KeySet(list(self.keys)).as_dict(private=False), 503 if self.is_away else 200)

    def _authorize(self, request: Request) -> RedirectResponse:
        asked = dict(request.query_params)
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

    def _token(
        self,
        request: Request,
        code: Annotated[str, Form()],
        code_verifier: Annotated[str, Form()],
        redirect_uri: Annotated[str, Form()],
        grant_type: Annotated[str, Form()],
    ) -> JSONResponse:
        asked = self._codes.pop(code, None)
        known = base64.b64encode(f"{CLIENT}:hush%2C%20hush".encode()).decode()
        if (
            asked is None
            or grant_type != "authorization_code"
            or request.headers.get("authorization") != f"Basic {known}"
            or redirect_uri != asked["redirect_uri"]
            or base64url(hashlib.sha256(code_verifier.encode()).digest()) != asked["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims = self.person | {"aud": CLIENT, "nonce": asked["nonce"]} | self.altered
        return JSONResponse({"access_token": "opaque", "token_type": "Bearer", "id_token": self._signed(claims)})


def new_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid})


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims, unchecked."""
    header, claims, _ = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    return json.loads(header), json.loads(claims)


def unsigned(claims: dict[str, Any], algorithm: str = "none") -> str:
    """Write a token by hand that says it needs no signature (RFC 7519 section 6)."""
    return f"{base64url(json.dumps({'alg': algorithm}).encode())}.{base64url(json.dumps(claims).encode())}."


def shared(claims: dict[str, Any], secret: bytes, kid: str) -> str:
    """Write a token by hand that is signed with a secret, as if a public key were one (RFC 8725 section 2.1)."""
    header = base64url(json.dumps({"alg": "HS256", "kid": kid}).encode())
    signed = f"{header}.{base64url(json.dumps(claims).encode())}"
    return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())
