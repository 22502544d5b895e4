"""The service's log: our records with what they belong to, as JSON or for people; nothing of other libraries."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from structlog.contextvars import bound_contextvars

from dimse.wire import ABORT, ECHO_RQ, RawPeer, fragment
from kept_study import Clock, new_store
from zweitblick.cli.log import log_to
from zweitblick.dimse import DicomServer, ListenerConfig
from zweitblick.store.received import ReceivedInstance
from zweitblick.web import HttpServer, Service, create_app, one_token
from zweitblick.worklist import Notices, Worklist

Lines = Callable[[], list[dict[str, Any]]]
TOKEN = "a token that is never printed"  # noqa: S105 -- of this test alone
UID = "1.2.276.0.4711"


@pytest.fixture
def settled() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root, ours = logging.getLogger(), logging.getLogger("zweitblick")
    before = root.handlers[:], ours.handlers[:], ours.level, ours.propagate, logging.root.manager.disable
    yield
    root.handlers[:], ours.handlers[:], ours.level, ours.propagate = before[:4]
    logging.disable(before[4])


@pytest.fixture
def lines(settled: None) -> Lines:
    stream = io.StringIO()
    log_to(stream, log_format="json")
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_json_object_with_its_context(lines: Lines) -> None:
    with bound_contextvars(study="ab12", round="cd34"):
        logging.getLogger("zweitblick.worker").warning("round %s waits:\n%s", "cd34", "store.full")
    (line,) = lines()
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() is not None
    assert line == {
        "event": "round cd34 waits:\nstore.full",
        "level": "warning",
        "logger": "zweitblick.worker",
        "round": "cd34",
        "study": "ab12",
    }


def test_for_people_a_record_is_one_line(settled: None) -> None:
    stream = io.StringIO()
    log_to(stream, log_format="console")
    with bound_contextvars(study="ab12"):
        logging.getLogger("zweitblick.worker").info("round %s is %s", "cd34", "read")
    (line,) = stream.getvalue().splitlines()
    assert "[info] round cd34 is read" in line
    assert "study=ab12" in line
    assert "\x1b" not in line


def test_other_libraries_are_not_heard(lines: Lines, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("pydicom", "dbos", "uvicorn.access", "zweitblick_other"):
        logging.getLogger(name).error("Geheim^Patientin")
    logging.getLogger().critical("Geheim^Patientin")
    logging.getLogger("zweitblick").debug("detail")
    assert lines() == []
    assert capfd.readouterr() == ("", "")


def test_a_request_has_an_id_of_ours_and_its_line_names_the_route(tmp_path: Path, lines: Lines) -> None:
    with new_store(tmp_path, Clock()) as store:
        store.keep(
            ReceivedInstance(
                "1.2.3", f"{UID}.1", "1.2.840.10008.1.2.1", UID, f"{UID}.2", "SCANNER", b"Geheim^Patientin"
            )
        )
        app = create_app(
            Service(store, lambda _: None, lambda: True, Worklist(store.workitems, Notices(), Clock())),
            doors=one_token(TOKEN),
        )
        with HttpServer(app, host="127.0.0.1", port=0) as server, httpx.Client(base_url=server.address) as client:
            headers = {"Authorization": f"Bearer {TOKEN}", "X-Request-ID": "Geheim^Patientin"}
            answers = [
                client.get(f"/api/v1/reads/{UID}?name=Geheim", headers=headers),
                client.get(f"/api/v1/reads/{UID}/results/seg?name=Geheim"),
                client.get(f"/{UID}"),
                client.request("GEHEIM", f"/api/v1/reads/{UID}"),
                client.get("/health"),
            ]
    said = [line for line in lines() if line["event"] == "request answered"]
    assert [(line["method"], line["route"], line["status"]) for line in said] == [
        ("GET", "/api/v1/reads/{study_uid}", 200),
        ("GET", "/api/v1/reads/{study_uid}/results/{name}", 401),
        ("GET", "none", 404),
        ("other", "/api/v1/reads/{study_uid}", 405),
    ]
    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert len(set(ids)) == 5
    assert [line["request"] for line in said] == ids[:4]
    everything = json.dumps(lines())
    assert not [secret for secret in (UID, "Geheim", "GEHEIM", TOKEN, "127.0.0.1") if secret in everything]


def test_a_failure_is_logged_with_the_id_of_its_request(lines: Lines) -> None:
    class Away:
        """Fails as a defect would: its text quotes a header."""

        def stable_after(self, _: datetime) -> None:
            raise ValueError("Geheim^Patientin")

    app: FastAPI = create_app(Service(Away(), lambda _: None, lambda: True, None), doors=one_token(TOKEN))
    with HttpServer(app, host="127.0.0.1", port=0) as server, httpx.Client(base_url=server.address) as client:
        assert client.get("/ready").status_code == 500
    (said,) = [line for line in lines() if line["event"] == "request answered"]
    assert (said["route"], said["status"]) == ("/ready", 500)
    assert [line["event"] for line in lines()] == ["request answered", "a request failed by ValueError"]
    assert "Geheim" not in json.dumps(lines())


def test_lines_of_an_association_share_an_id(tmp_path: Path, lines: Lines) -> None:
    with new_store(tmp_path, Clock()) as store, DicomServer(ListenerConfig(port=0), store) as server:
        for _ in range(2):
            with RawPeer(server.port) as peer:
                peer.associate()
                assert peer.store(b"", "1.2.3") == 0xC000
                peer.send(fragment(1, 3, ECHO_RQ))
                assert peer.receive()[0] == ABORT
    said = [line for line in lines() if "association" in line]
    assert len(said) >= 4
    assert len({line["association"] for line in said}) == 2
