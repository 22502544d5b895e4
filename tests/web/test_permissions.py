"""Every route, before every role: what is not allowed is refused, and what nobody thought of is closed."""

import re
from pathlib import Path

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from access.identity_provider import unsigned
from kept_study import sent
from web.dicomweb_study import STUDY
from web.entrances import Entrances
from zweitblick.access.principal import Role
from zweitblick.web.gate import REFUSALS
from zweitblick.web.permissions import OPEN, PERMISSIONS, WEBSOCKET

EVERYBODY = set(Role)
READERS = {Role.RADIOLOGIST, Role.SERVICE}
EXPECTED = [
    (r"GET /metrics", {Role.ADMINISTRATOR, Role.RESEARCHER, Role.SERVICE}),
    (r"(GET|DELETE) /api/v1/session|GET /api/v1/openapi\.json|GET /fhir/metadata", EVERYBODY),
    (r"(POST|DELETE) /api/v1/emergencies.*", {Role.ADMINISTRATOR}),
    (r"GET /api/v1/emergencies", {Role.ADMINISTRATOR, Role.AUDITOR}),
    (r"\w+ /(api/v1/reads|dicom-web|fhir)\b.*", READERS),
]
"""Who may, by what a path begins with: findings, images and work items are for those who read, and nobody else."""

OPENED = {"GET /health", "GET /ready", "GET /login", "GET /login/callback", "POST /login"}


def routes(entrances: Entrances) -> set[tuple[str, str]]:
    """Method and path of every route, as FastAPI has them."""
    found = set()
    for one in iter_route_contexts(entrances.app.routes):
        found |= {(method, one.path) for method in one.methods or {WEBSOCKET}}
    return found


def expected(method: str, path: str) -> set[Role]:
    """Roles that may; of the first pattern that fits."""
    return next(roles for pattern, roles in EXPECTED if re.fullmatch(pattern, f"{method} {path}"))


def asked(client: httpx.Client, method: str, path: str) -> httpx.Response:
    filled = re.sub(r"\{(\w+)(:path)?\}", "1", path)
    return client.request(method, filled)


def code_of(answer: httpx.Response) -> str:
    """Code of an error: of a problem document, or on FHIR's routes of an OperationOutcome."""
    content = answer.json()
    return content["code"] if "code" in content else content["issue"][0]["diagnostics"]


def test_every_route_is_in_the_table_and_nothing_else(entrances: Entrances) -> None:
    assert routes(entrances) == set(PERMISSIONS) | OPEN
    assert {f"{method} {path}" for method, path in OPEN} == OPENED


@pytest.mark.parametrize("role", Role)
def test_each_role_reaches_what_it_may_and_nothing_else(entrances: Entrances, role: Role) -> None:
    client = entrances.machine(role)
    for method, path in sorted(set(PERMISSIONS)):
        if method != WEBSOCKET:
            status = asked(client, method, path).status_code
            assert status != 401
            assert (status != 403) == (role in expected(method, path)), f"{role}: {method} {path} is {status}"


def test_who_has_no_role_reaches_nothing(entrances: Entrances) -> None:
    client = entrances.machine()
    assert {asked(client, method, path).status_code for method, path in PERMISSIONS if method != WEBSOCKET} == {403}


def test_strangers_reach_nothing_but_health_and_log_in(entrances: Entrances) -> None:
    stranger = entrances.browser()
    for method, path in PERMISSIONS:
        if method != WEBSOCKET:
            answer = asked(stranger, method, path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert code_of(answer) == "http.token"
    assert [stranger.get(path).status_code for path in ("/health", "/ready")] == [200, 200]


def test_a_token_of_another_tenant_sees_no_study(entrances: Entrances, files: list[Path]) -> None:
    entrances.store.keep(sent(files[0]))
    for tenant, status in (("north", 200), ("south", 403), (None, 403)):
        token = entrances.provider.access_token(tenant=tenant)
        client = entrances.browser(Authorization=f"Bearer {token}")
        for place in (f"/api/v1/reads/{STUDY}", f"/dicom-web/studies/{STUDY}/metadata", "/api/v1/reads"):
            assert client.get(place).status_code == status


def test_a_route_that_is_not_in_the_table_is_closed_to_everybody(entrances: Entrances) -> None:
    entrances.app.get("/new")(lambda: "open")
    assert entrances.browser().get("/new").status_code == 401
    answer = entrances.machine(*Role).get("/new")
    assert (answer.status_code, answer.json()["code"]) == (403, "access.forbidden")


def test_what_is_refused_to_somebody_who_is_known_goes_on_record(entrances: Entrances) -> None:
    entrances.machine(Role.RESEARCHER).get("/api/v1/reads")
    (event,) = entrances.book.events
    assert (event.types[0].meaning, event.participants[0].user_id) == (
        "Use of Restricted Function",
        "machine@127.0.0.1",
    )
    assert entrances.counts.codes == ["access.forbidden"]


def test_who_reads_is_on_record_by_name(entrances: Entrances) -> None:
    entrances.machine(Role.RADIOLOGIST).get("/api/v1/reads")
    (event,) = entrances.book.events
    assert event.participants[0].user_id == "machine@127.0.0.1"
    assert event.participants[0].address == "127.0.0.1"


def test_tokens_that_do_not_hold_are_counted_by_address_and_then_not_looked_at(entrances: Entrances) -> None:
    forged = entrances.browser(Authorization=f"Bearer {unsigned({'sub': 'anna'})}")
    answers = [forged.get("/api/v1/reads") for _ in range(REFUSALS.burst + 1)]
    assert [one.status_code for one in answers] == [401] * REFUSALS.burst + [429]
    assert answers[-1].headers["retry-after"] == "1"
    entrances.ticks += 1
    assert [forged.get("/api/v1/reads").status_code for _ in range(2)] == [401, 429]
    assert entrances.machine(Role.RADIOLOGIST).get("/api/v1/reads").status_code == 200


def test_the_interface_says_who_may_use_what(entrances: Entrances) -> None:
    document = entrances.machine(Role.AUDITOR).get("/api/v1/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert {name: one["type"] for name, one in schemes.items()} == {"bearer": "http", "session": "apiKey"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            if name in OPENED:
                assert operation["security"] == []
            else:
                assert operation["security"] == [{"bearer": []}, {"session": []}]
                assert set(operation["x-roles"]) == expected(method.upper(), path)
                assert {"401", "403", "429"} <= set(operation["responses"])


def test_every_answer_bears_headers_that_keep_it_private(entrances: Entrances, proxied: Entrances) -> None:
    for house in (entrances, proxied):
        for answer in (
            house.browser().get("/health"),
            house.browser().get("/nowhere"),
            house.browser().get("/api/v1/reads"),
            house.machine(Role.RADIOLOGIST).get("/api/v1/reads"),
        ):
            policy = answer.headers["content-security-policy"]
            assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            assert "server" not in answer.headers
            assert ("strict-transport-security" in answer.headers) == (house is proxied)
