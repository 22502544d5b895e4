"""People log in at the provider or with a password, and stay logged in for a while; pages of others get nothing."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from websockets.sync.client import connect

from access.identity_provider import IdentityProvider
from kept_study import Clock
from web.entrances import PUBLIC_URL, Entrances
from zweitblick.access.principal import Role
from zweitblick.web.login import ATTEMPTS

PASSWORD = "correct horse battery staple"  # noqa: S105 -- of this test alone


def add(house: Entrances, *roles: Role, name: str = "anna") -> None:
    house.users.add_person(name, PASSWORD, roles or [Role.RADIOLOGIST])


def log_in(browser: httpx.Client, name: str = "anna", password: str = PASSWORD) -> httpx.Response:
    return browser.post("/login", json={"name": name, "password": password})


def came_back(browser: httpx.Client, departure: httpx.Response) -> httpx.Response:
    """Go where the provider sends a browser back to; the proxy's address is ours."""
    back = httpx.get(departure.headers["location"])
    assert back.headers["location"].startswith(f"{PUBLIC_URL}/login/callback?")
    return browser.get(f"/login/callback?{urlsplit(back.headers['location']).query}")


def through_provider(browser: httpx.Client) -> httpx.Response:
    return came_back(browser, browser.get("/login"))


def test_who_logs_in_at_the_provider_has_a_session(entrances: Entrances) -> None:
    browser = entrances.browser()
    assert through_provider(browser).status_code == 303
    account = browser.get("/api/v1/session").json()
    assert (account["user"], account["name"], account["roles"]) == ("anna@127.0.0.1", "Anna", ["radiologist"])
    assert browser.get("/api/v1/reads").status_code == 200
    assert [(event.types[0].meaning, event.participants[0].user_id) for event in entrances.book.events[:1]] == [
        ("Login", "anna@127.0.0.1")
    ]


def test_the_way_there_says_what_rfc_7636_and_openid_connect_ask_for(entrances: Entrances) -> None:
    browser = entrances.browser()
    first, second = (parse_qs(urlsplit(browser.get("/login").headers["location"]).query) for _ in range(2))
    assert first["code_challenge_method"] == ["S256"]
    assert len(first["code_challenge"][0]) == 43
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
    assert first["redirect_uri"] == [f"{PUBLIC_URL}/login/callback"]


def test_a_code_that_was_caught_on_the_way_is_worth_nothing(entrances: Entrances) -> None:
    """Neither in another browser, nor in place of one's own (RFC 9700 section 4.5)."""
    browser, thief = entrances.browser(), entrances.browser()
    theirs, own = browser.get("/login"), thief.get("/login")
    back = urlsplit(httpx.get(theirs.headers["location"]).headers["location"]).query
    assert thief.get(f"/login/callback?{back}").status_code == 401
    state = parse_qs(urlsplit(own.headers["location"]).query)["state"][0]
    assert thief.get("/login/callback", params={"code": parse_qs(back)["code"][0], "state": state}).status_code == 401
    assert thief.get("/api/v1/session").status_code == 401


def test_a_way_back_is_gone_once(entrances: Entrances) -> None:
    browser = entrances.browser()
    departure = browser.get("/login")
    back = urlsplit(httpx.get(departure.headers["location"]).headers["location"]).query
    assert [browser.get(f"/login/callback?{back}").status_code for _ in range(2)] == [303, 401]


def test_who_takes_too_long_begins_anew(entrances: Entrances, clock: Clock) -> None:
    browser = entrances.browser()
    departure = browser.get("/login")
    clock.move(600)
    assert came_back(browser, departure).status_code == 401


def test_a_log_in_that_the_provider_does_not_rightly_confirm_is_none(
    entrances: Entrances, provider: IdentityProvider
) -> None:
    wrong: list[tuple[dict[str, object], int]] = [
        ({"nonce": "another"}, 401),
        ({"aud": "https://zweitblick.example"}, 401),
        ({"aud": ["zweitblick-browser", "other"], "azp": "other"}, 401),
        ({"iss": "https://other.example"}, 401),
        ({"exp": 1}, 401),
        ({"roles": []}, 403),
        ({"roles": None}, 403),
    ]
    for altered, status in wrong:
        browser = entrances.browser()
        provider.altered = altered
        assert through_provider(browser).status_code == status, altered
        assert browser.get("/api/v1/session").status_code == 401
    assert [int(event.outcome) for event in entrances.book.events] == [8] * len(wrong)


def test_while_the_provider_is_away_nobody_new_logs_in(entrances: Entrances, provider: IdentityProvider) -> None:
    provider.is_away = True
    answer = entrances.browser().get("/login")
    assert (answer.status_code, answer.json()["code"]) == (503, "access.provider")


def test_a_password_opens_a_session(entrances: Entrances) -> None:
    add(entrances)
    browser = entrances.browser()
    assert log_in(browser).status_code == 204
    assert browser.get("/api/v1/session").json()["roles"] == ["radiologist"]


def test_a_cookie_is_for_our_own_pages_over_tls_only(entrances: Entrances, proxied: Entrances) -> None:
    add(entrances)
    add(proxied)
    plain = log_in(entrances.browser()).headers["set-cookie"].split("; ")
    sealed = log_in(proxied.browser()).headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(plain)
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Secure"} <= set(sealed)
    assert sealed[0].startswith("__Host-")
    assert not [part for part in sealed if part.startswith("Domain")]


def test_the_way_back_is_tied_to_the_way_there_by_a_cookie_that_no_other_host_sets(
    entrances: Entrances, proxied: Entrances
) -> None:
    plain, sealed = (one.browser().get("/login").headers["set-cookie"].split("; ") for one in (entrances, proxied))
    assert plain[0].startswith("zweitblick-login=")
    assert sealed[0].startswith("__Host-zweitblick-login=")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Secure"} <= set(sealed)
    assert not [part for part in sealed if part.startswith("Domain")]


def test_each_refusal_is_counted(entrances: Entrances) -> None:
    add(entrances)
    browser = entrances.browser()
    browser.post("/login", json={"name": "anna", "password": PASSWORD}, headers={"Origin": "https://evil.example"})
    log_in(browser, "bea")
    browser.get("/login/callback?code=x&state=y")
    for _ in range(ATTEMPTS.burst + 1):
        log_in(browser, "anna", "wrong")
    failed = ["access.login"] * ATTEMPTS.burst
    assert entrances.counts.codes == ["access.csrf", "access.login", "http.token", *failed, "access.too-many"]


def test_log_ins_that_are_too_many_are_on_record_once_a_minute(entrances: Entrances) -> None:
    browser = entrances.browser()

    def throttled() -> int:
        answers = [log_in(browser).status_code for _ in range(3 * ATTEMPTS.burst)]
        assert answers[-1] == 429
        recorded = [event for event in entrances.book.events if event.outcome_description == "access.too-many"]
        assert {(one.participants[0].user_id, int(one.outcome)) for one in recorded} == {("anna", 8)}
        return len(recorded)

    assert throttled() == 1
    entrances.ticks += 59
    assert throttled() == 1
    entrances.ticks += 60
    assert throttled() == 2


def test_failed_log_ins_look_alike(entrances: Entrances) -> None:
    """That they take the same work is in tests/access/test_users.py."""
    add(entrances)
    answers = [log_in(entrances.browser(), *given) for given in (("anna", "wrong"), ("bea", PASSWORD))]
    assert {one.status_code for one in answers} == {401}
    assert answers[0].json() == answers[1].json()
    first, second = ({*one.headers} for one in answers)
    assert first == second
    assert [event.outcome_description for event in entrances.book.events] == ["access.login"] * 2


def test_failed_log_ins_are_few_and_do_not_lock_out_others(entrances: Entrances) -> None:
    add(entrances)
    add(entrances, name="bea")
    browser = entrances.browser()
    answers = [log_in(browser, "anna", "wrong") for _ in range(ATTEMPTS.burst + 1)]
    assert [one.status_code for one in answers] == [401] * ATTEMPTS.burst + [429]
    assert answers[-1].headers["retry-after"] == "30"
    assert log_in(browser).status_code == 429
    assert log_in(browser, "bea").status_code == 204
    entrances.ticks += 30
    assert log_in(browser).status_code == 204


def test_log_ins_that_succeed_are_not_counted(entrances: Entrances) -> None:
    add(entrances)
    browser = entrances.browser()
    assert {log_in(browser).status_code for _ in range(3 * ATTEMPTS.burst)} == {204}


def test_what_is_no_log_in_is_refused_and_not_quoted(entrances: Entrances) -> None:
    for body in (b"", b"{...", b'{"name": "anna"}', b"[7]", b"\xff", b"x" * 20_000):
        answer = entrances.browser().post("/login", content=body)
        assert answer.status_code in (400, 413)
        assert not body or body not in answer.content


def test_each_log_in_begins_a_session_of_its_own(entrances: Entrances) -> None:
    """A secret that somebody planted before is not taken over, and the one of before ends."""
    add(entrances)
    browser = entrances.browser()
    browser.cookies.set("zweitblick", "planted", domain="127.0.0.1")
    log_in(browser)
    first = browser.cookies["zweitblick"]
    log_in(browser)
    assert len({"planted", first, browser.cookies["zweitblick"]}) == 3
    assert entrances.browser(Cookie=f"zweitblick={first}").get("/api/v1/session").status_code == 401


def test_what_changes_something_needs_the_token_that_only_our_pages_can_read(entrances: Entrances) -> None:
    add(entrances)
    browser = entrances.browser()
    log_in(browser)
    csrf = browser.get("/api/v1/session").json()["csrf_token"]
    for wrong in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": csrf[:-1]}, {"X-CSRF-Token": "ä".encode()}):
        answer = browser.post("/api/v1/reads", headers=wrong)
        assert (answer.status_code, answer.json()["code"]) == (403, "access.csrf")
    assert browser.post("/api/v1/reads", headers={"X-CSRF-Token": csrf}).status_code == 415


def test_who_logs_out_is_out(entrances: Entrances) -> None:
    add(entrances)
    browser = entrances.browser()
    log_in(browser)
    secret = browser.cookies["zweitblick"]
    csrf = browser.get("/api/v1/session").json()["csrf_token"]
    assert browser.delete("/api/v1/session", headers={"X-CSRF-Token": csrf}).status_code == 204
    assert "zweitblick" not in browser.cookies
    assert entrances.browser(Cookie=f"zweitblick={secret}").get("/api/v1/session").status_code == 401
    assert [event.types[0].meaning for event in entrances.book.events] == ["Login", "Logout"]


def test_a_session_ends_when_it_rests_and_when_its_user_is_taken_out(entrances: Entrances, clock: Clock) -> None:
    add(entrances)
    resting, other = entrances.browser(), entrances.browser()
    log_in(resting)
    clock.move(1799)
    assert resting.get("/api/v1/session").status_code == 200
    clock.move(1800)
    assert resting.get("/api/v1/session").status_code == 401
    log_in(other)
    entrances.users.remove("anna")
    assert other.get("/api/v1/session").status_code == 401


def test_nobody_is_let_in_who_cannot_be_put_on_record(entrances: Entrances) -> None:
    add(entrances)
    browser = entrances.browser()
    entrances.book.is_away = True
    assert log_in(browser).status_code == 503
    assert "zweitblick" not in browser.cookies


def test_pages_of_others_neither_log_in_nor_listen(entrances: Entrances) -> None:
    add(entrances)
    browser = entrances.browser()
    log_in(browser)
    cookie = {"Cookie": f"zweitblick={browser.cookies['zweitblick']}"}
    place = f"{entrances.server.address.replace('http', 'ws')}/dicom-web/subscribers/WATCHER"
    own = entrances.server.address
    for origin in ("https://evil.example", "null", "http://127.0.0.1", own.replace("http", "https")):
        refused = browser.post("/login", json={"name": "anna", "password": PASSWORD}, headers={"Origin": origin})
        assert (refused.status_code, refused.json()["code"]) == (403, "access.csrf")
        with pytest.raises(Exception, match="403"), connect(place, additional_headers=cookie, origin=origin):
            pass
    with connect(place, additional_headers=cookie, origin=own):
        pass


def test_behind_a_proxy_pages_are_our_own_by_the_public_name_and_addresses_are_those_it_says(
    proxied: Entrances,
) -> None:
    add(proxied)
    headers = {"Origin": PUBLIC_URL, "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    assert log_in(proxied.browser(**headers)).status_code == 204
    assert proxied.book.events[0].participants[0].address == "192.0.2.7"


def test_without_a_proxy_nobody_gives_out_another_address(entrances: Entrances) -> None:
    add(entrances)
    assert log_in(entrances.browser(**{"X-Forwarded-For": "192.0.2.7"})).status_code == 204
    assert entrances.book.events[0].participants[0].address == "127.0.0.1"
