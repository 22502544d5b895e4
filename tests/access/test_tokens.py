"""Tokens that hold name somebody; all others do not, however well they are made."""

import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx
import pytest
from joserfc.jwk import ECKey, KeySet, RSAKey

from access.identity_provider import (
    AUDIENCE,
    CLIENT,
    IdentityProvider,
    base64url,
    new_key,
    parts,
    seconds,
    shared,
    unsigned,
)
from kept_study import Clock
from zweitblick.access.principal import Means, Role
from zweitblick.access.provider import FRESH_S, PAUSE_S, STALE_S, Provider
from zweitblick.access.tokens import ClaimRules, TokenVerifier
from zweitblick.errors import ForbiddenError, IdentityProviderError, TokenError

ISSUER = "https://login.example"


class Seconds:
    """A clock of seconds that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Seconds:
    return Seconds()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client() as made:
        yield made


@pytest.fixture
def asked(provider: IdentityProvider, client: httpx.Client, ticks: Seconds) -> Provider:
    return Provider(provider.issuer, client, clock=ticks)


@pytest.fixture
def verifier(asked: Provider, clock: Clock) -> TokenVerifier:
    return TokenVerifier(asked, AUDIENCE, ClaimRules(), clock)


def test_a_token_that_holds_names_somebody_with_roles(provider: IdentityProvider, verifier: TokenVerifier) -> None:
    found = verifier.verified(provider.access_token(roles=["radiologist", "janitor"]))
    assert (found.user_id, found.roles, found.means, found.name) == (
        "anna@127.0.0.1",
        {Role.RADIOLOGIST},
        Means.ACCESS_TOKEN,
        "Anna",
    )
    assert "anna" not in repr(found).lower()


def test_rsa_keys_sign_too(provider: IdentityProvider, verifier: TokenVerifier) -> None:
    provider.keys = [RSAKey.generate_key(2048, {"kid": "rsa"})]
    assert verifier.verified(provider.access_token()).roles == {Role.RADIOLOGIST}


def test_a_header_that_nobody_knows_is_passed_over(provider: IdentityProvider, verifier: TokenVerifier) -> None:
    assert verifier.verified(provider.access_token(header={"exp2": 1})).roles


Forge = Callable[[IdentityProvider], str]


def with_own_key(provider: IdentityProvider) -> str:
    """Bring the key along (RFC 7515 section 4.1.3), as if that proved anything."""
    own = new_key("own")
    return provider.access_token(own, {"jwk": own.as_dict(private=False), "jku": "https://evil.example/jwks"})


def spliced(signature_of: str, claims_of: str) -> str:
    header, _, signature = signature_of.split(".")
    return f"{header}.{claims_of.split('.')[1]}.{signature}"


def headed(header: object) -> str:
    """Write a token by hand with any JSON for a header."""
    return f"{base64url(json.dumps(header).encode())}.e30.AAAA"


FORGED: dict[str, Forge] = {
    "for another service": lambda idp: idp.access_token(aud="https://other.example"),
    "for others": lambda idp: idp.access_token(aud=["https://other.example", CLIENT]),
    "for nobody": lambda idp: idp.access_token(aud=None),
    "a log-in": lambda idp: idp.access_token(aud=CLIENT),
    "of another issuer": lambda idp: idp.access_token(iss="https://other.example"),
    "of no issuer": lambda idp: idp.access_token(iss=None),
    "of nobody": lambda idp: idp.access_token(sub=None),
    "of an unprintable": lambda idp: idp.access_token(sub="anna\nbea"),
    "of a number": lambda idp: idp.access_token(sub=7),
    "for ever": lambda idp: idp.access_token(exp=None),
    "for a year": lambda idp: idp.access_token(exp=seconds(idp.clock()) + 31_536_000),
    "that ends at no time": lambda idp: idp.access_token(exp="tomorrow"),
    "algorithm none": lambda idp: unsigned(parts(idp.access_token())[1]),
    "algorithm None": lambda idp: unsigned(parts(idp.access_token())[1], "None"),
    "shared secret": lambda idp: shared(
        parts(idp.access_token())[1], idp.keys[-1].as_pem(private=False), idp.keys[-1].kid
    ),
    "empty secret": lambda idp: shared(parts(idp.access_token())[1], b"", idp.keys[-1].kid),
    "of another's key": lambda idp: idp.access_token(new_key("first")),
    "with its own key": with_own_key,
    "with other claims": lambda idp: spliced(idp.access_token(), idp.access_token(roles=["administrator"])),
    "without signature": lambda idp: idp.access_token().rpartition(".")[0] + ".",
    "with a critical header": lambda idp: idp.access_token(header={"crit": ["exp2"], "exp2": 1}),
    "with a critical header of a number": lambda _: headed({"alg": "RS256", "crit": 5}),
    "with a critical header of a list": lambda _: headed({"alg": "RS256", "crit": [[1]]}),
    "with a critical header of nothing": lambda _: headed({"alg": "RS256", "crit": None}),
    "whose header is a list": lambda _: headed(["alg"]),
    "whose header is a word": lambda _: headed("alg"),
    "whose header is a number": lambda _: headed(5),
    "whose algorithm is a list": lambda _: headed({"alg": ["RS256"]}),
    "whose key's id is a table": lambda _: headed({"alg": "RS256", "kid": {}}),
    "far too long": lambda idp: idp.access_token(padding="x" * 20_000),
    "no token": lambda _: "no token",
    "nothing": lambda _: "",
    "dots": lambda _: "..",
    "not ASCII": lambda _: "ä.ö.ü",
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_token_that_does_not_hold_names_nobody(
    provider: IdentityProvider, verifier: TokenVerifier, kind: str
) -> None:
    token = FORGED[kind](provider)
    with pytest.raises(TokenError) as refused:
        verifier.verified(token)
    assert len(token) < 5 or token not in str(refused.value)


@pytest.mark.parametrize(
    ("claim", "offset_s", "holds"),
    [
        ("exp", -59, True),
        ("exp", -61, False),
        ("nbf", 59, True),
        ("nbf", 61, False),
        ("iat", 59, True),
        ("iat", 61, False),
    ],
)
def test_clocks_may_differ_by_a_minute(
    provider: IdentityProvider, verifier: TokenVerifier, claim: str, offset_s: int, *, holds: bool
) -> None:
    token = provider.access_token(**{claim: seconds(provider.clock()) + offset_s})
    if holds:
        verifier.verified(token)
    else:
        with pytest.raises(TokenError):
            verifier.verified(token)


def test_the_token_of_another_tenant_is_refused(provider: IdentityProvider, asked: Provider, clock: Clock) -> None:
    ours = TokenVerifier(asked, AUDIENCE, ClaimRules(tenant_claim="org.ids", tenant="north"), clock)
    assert ours.verified(provider.access_token(org={"ids": ["north", "west"]})).roles
    for other in ({"org": {"ids": ["south"]}}, {"org": {"ids": "northern"}}, {"org": None}, {}):
        with pytest.raises(ForbiddenError, match="another tenant"):
            ours.verified(provider.access_token(**other))


@pytest.mark.parametrize(
    ("rules", "claims", "roles"),
    [
        (ClaimRules(), {"roles": "auditor"}, {Role.AUDITOR}),
        (ClaimRules(), {"roles": "auditor service"}, set()),
        (ClaimRules("scope"), {"scope": "auditor service"}, {Role.AUDITOR, Role.SERVICE}),
        (ClaimRules("group", {"chief auditor": Role.AUDITOR}), {"group": "chief auditor"}, {Role.AUDITOR}),
        (ClaimRules(), {"roles": [7, None, "Radiologist"]}, set()),
        (ClaimRules(), {"roles": {"radiologist": True}}, set()),
        (ClaimRules("realm.roles"), {"realm": {"roles": ["auditor"]}}, {Role.AUDITOR}),
        (ClaimRules("https://x.example/roles"), {"https://x.example/roles": ["auditor"]}, {Role.AUDITOR}),
        (ClaimRules("groups", {"rad-7": Role.RADIOLOGIST}), {"groups": ["rad-7", "auditor"]}, {Role.RADIOLOGIST}),
    ],
)
def test_roles_come_from_the_claim_that_is_set(rules: ClaimRules, claims: dict[str, object], roles: set[Role]) -> None:
    assert rules.roles_of(claims) == roles


def test_a_new_key_is_fetched_and_one_that_is_withdrawn_is_no_longer_trusted(
    provider: IdentityProvider, verifier: TokenVerifier, ticks: Seconds
) -> None:
    first = provider.access_token()
    verifier.verified(first)
    provider.keys = [new_key("second")]
    ticks.now += PAUSE_S
    verifier.verified(provider.access_token())
    with pytest.raises(TokenError):
        verifier.verified(first)


def test_a_key_that_is_withdrawn_is_trusted_for_ten_minutes_at_most(
    provider: IdentityProvider, verifier: TokenVerifier, ticks: Seconds
) -> None:
    first = provider.access_token()
    verifier.verified(first)
    provider.keys = [new_key("second")]
    ticks.now += FRESH_S
    with pytest.raises(TokenError):
        verifier.verified(first)


def test_keys_that_nobody_has_do_not_send_us_to_the_provider_again_and_again(
    provider: IdentityProvider, verifier: TokenVerifier
) -> None:
    verifier.verified(provider.access_token())
    for _ in range(20):
        with pytest.raises(TokenError):
            verifier.verified(provider.access_token(new_key(secrets.token_hex())))
    assert provider.asked == ["metadata", "jwks"]


def test_while_the_provider_is_away_its_keys_hold_for_a_day(
    provider: IdentityProvider, verifier: TokenVerifier, ticks: Seconds
) -> None:
    token = provider.access_token()
    verifier.verified(token)
    provider.is_away = True
    ticks.now += STALE_S - 1
    verifier.verified(token)
    ticks.now += PAUSE_S
    with pytest.raises(IdentityProviderError):
        verifier.verified(token)
    provider.is_away = False
    ticks.now += PAUSE_S
    verifier.verified(token)


def test_before_the_provider_was_asked_once_nobody_is_let_in(
    provider: IdentityProvider, verifier: TokenVerifier, ticks: Seconds
) -> None:
    provider.is_away = True
    for _ in range(3):
        with pytest.raises(IdentityProviderError):
            verifier.verified(provider.access_token())
    assert provider.asked == ["metadata"]
    provider.is_away = False
    ticks.now += PAUSE_S
    verifier.verified(provider.access_token())


@pytest.mark.parametrize(
    "said", [{"issuer": "https://other.example"}, {"jwks_uri": "http://192.0.2.1/jwks"}, {"jwks_uri": None}]
)
def test_a_provider_that_says_what_is_not_safe_is_not_believed(
    provider: IdentityProvider, verifier: TokenVerifier, said: dict[str, str]
) -> None:
    provider.said = said
    with pytest.raises(IdentityProviderError):
        verifier.verified(provider.access_token())


def test_keys_that_are_weak_or_secret_or_not_for_signatures_are_passed_over() -> None:
    good, sealing = new_key("good"), ECKey.generate_key("P-256", {"kid": "sealing", "use": "enc"})
    weak = {"kty": "RSA", "kid": "weak", "e": "AQAB", "n": "w" * 171}  # 1024 bits
    listed = KeySet([good, sealing]).as_dict(private=False)["keys"]
    others = {"keys": [*listed, weak, {"kty": "oct", "kid": "oct", "k": "c2VjcmV0"}, {"kty": "?"}, 7]}
    with httpx.Client(transport=httpx.MockTransport(lambda request: answer(request, others))) as client:
        asked = Provider(ISSUER, client)
        assert asked.key("good").kid == asked.key(None).kid == "good"  # the only one that is left
        for kid in ("weak", "oct", "sealing"):
            with pytest.raises(TokenError):
                asked.key(kid)


def answer(request: httpx.Request, key_set: object) -> httpx.Response:
    return httpx.Response(
        200, json=key_set if request.url.path == "/jwks" else {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"}
    )


@pytest.fixture
def hanging(ticks: Seconds) -> Iterator["Hanging"]:
    made = Hanging()
    with httpx.Client(transport=httpx.MockTransport(made.answer)) as client:
        made.provider = Provider(ISSUER, client, clock=ticks)
        yield made
        made.go_on.set()


class Hanging:
    """A provider with one key that takes as long to tell it as it is let."""

    provider: Provider

    def __init__(self) -> None:
        self.is_asked, self.go_on, self.count = Event(), Event(), 0
        self.key_set = KeySet([new_key("first")]).as_dict(private=False)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/jwks":
            self.count += 1
            self.is_asked.set()
            assert self.go_on.wait(30)
        return answer(request, self.key_set)


def test_keys_that_hold_are_not_waited_for_while_one_thread_asks_for_newer(hanging: Hanging, ticks: Seconds) -> None:
    hanging.go_on.set()
    hanging.provider.key("first")
    hanging.is_asked.clear()
    hanging.go_on.clear()
    ticks.now += FRESH_S
    with ThreadPoolExecutor(4) as pool:
        asking = pool.submit(hanging.provider.key, "first")
        assert hanging.is_asked.wait(30)
        try:
            others = [pool.submit(hanging.provider.key, kid) for kid in ("first", None)]
            unknown = pool.submit(hanging.provider.key, "second")
            assert [one.result(timeout=30).kid for one in others] == ["first", "first"]
            with pytest.raises(IdentityProviderError):  # it may be among those that come
                unknown.result(timeout=30)
            assert pool.submit(hanging.provider.endpoint, "jwks_uri").result(timeout=30)
            assert not asking.done()
        finally:
            hanging.go_on.set()
        assert asking.result(timeout=30).kid == "first"


def test_the_first_keys_are_fetched_once_for_all_who_wait(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zweitblick.access.provider.WAIT_S", 30.0)  # however busy the machine is
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(hanging.provider.key, "first") for _ in range(4)]
        assert hanging.is_asked.wait(30)
        hanging.go_on.set()
        assert {one.result(timeout=30).kid for one in asking} == {"first"}
    assert hanging.count == 1


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"keys": 7}', b"x" * 2**21])
def test_a_provider_that_talks_nonsense_is_not_believed(content: bytes) -> None:
    def nonsense(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content) if request.url.path == "/jwks" else answer(request, None)

    with httpx.Client(transport=httpx.MockTransport(nonsense)) as client, pytest.raises(IdentityProviderError):
        Provider(ISSUER, client).key("any")


def test_redirects_lead_nowhere() -> None:
    moved = httpx.Response(302, headers={"Location": "https://evil.example"})
    with (
        httpx.Client(transport=httpx.MockTransport(lambda _: moved), follow_redirects=True) as client,
        pytest.raises(IdentityProviderError, match="302"),
    ):
        Provider(ISSUER, client).key("any")
