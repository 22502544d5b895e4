"""A store that workers read the studies of, one after the other, as processes come and go."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
from dbos import DBOS, DBOSClient, EnqueueOptions
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from sqlalchemy import create_engine, text

from audit.book import Book
from kept_study import Clock, new_store, sent, wait_until
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.metrics import Metrics
from zweitblick.model.bundle import Bundles
from zweitblick.retrieval.lookup import PriorLookup
from zweitblick.store.life import State
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.worker import Partners, Worker, WorkPlace
from zweitblick.worker.launch import WORKFLOWS

RESULTS = {"seg", "sr", "pdf", "encapsulated-pdf", "json", "fhir"}


class House:
    """A store, and workers that come and go."""

    def __init__(self, folder: Path, bundles: Bundles) -> None:
        self.folder, self.bundles, self.clock, self.book = folder, bundles, Clock(), Book()
        self.place = WorkPlace(folder / "work")

    @contextmanager
    def store(self, kind: type[Store] = Store) -> Iterator[Store]:
        with new_store(self.folder, self.clock, kind=kind) as store:
            yield store

    def worker(self, store: Store, bundles: Bundles | None = None, **partners: Any) -> Worker:
        """Start a worker; the partners that are not given count, deliver and record as in `House`."""
        usual = {
            "deliverer": Deliverer(store, ()),
            "metrics": Metrics(store.standing, clock=self.clock),
            "lookup": PriorLookup(store, (), clock=self.clock),
        }
        found = Partners(**(usual | {"audit": self.book} | partners))
        return Worker(store, bundles or self.bundles, self.place, clock=self.clock, partners=found)

    def take_from_queue(self, name: str, workflow: str, *arguments: Any, version: str = WORKFLOWS) -> None:
        """Let DBOS think that this process has taken a workflow from the queue of its name, which it never begins."""
        url = f"sqlite:///{self.folder / 'work' / 'work.sqlite'}"
        options: EnqueueOptions = {
            "workflow_name": name,
            "queue_name": name,
            "workflow_id": workflow,
            "app_version": "none, so that nobody takes it before the next line",
        }
        client = DBOSClient(system_database_url=url)
        client.enqueue(options, *arguments)
        client.destroy()
        taken = text(
            "UPDATE workflow_status SET status = 'PENDING', executor_id = :executor, application_version = :version"
            " WHERE workflow_uuid = :workflow"
        )
        with create_engine(url).begin() as queue:
            values = {"executor": DBOS.executor_id, "version": version, "workflow": workflow}
            assert queue.execute(taken, values).rowcount == 1


def keep(store: Store, files: list[Path]) -> str:
    for path in files:
        store.keep(sent(path))
    return store.token(sent(files[0]).study_instance_uid)


def keep_renamed(
    store: Store, files: list[Path], name: str, *, calling_ae_title: str = "SCANNER", **header: str
) -> str:
    """Keep files as those of another study, and return its token; ``header`` changes attributes."""
    for path in files:
        instance = renamed(path, name, **header)
        store.keep(replace(instance, calling_ae_title=calling_ae_title))
    return store.token(instance.study_instance_uid)


def renamed(path: Path, name: str, **header: str) -> ReceivedInstance:
    return received(with_new_uids(path, name, **header))


def with_new_uids(path: Path, name: str, **header: str) -> pydicom.Dataset:
    """Return a file as one of another study, of which the same name gives the same UIDs."""
    data = pydicom.dcmread(path)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        setattr(data, keyword, generate_uid(entropy_srcs=[str(data.get(keyword)), name]))
    for keyword, value in header.items():
        setattr(data, keyword, value)
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    return data


def received(data: pydicom.Dataset) -> ReceivedInstance:
    """Return what a C-STORE of a data set brings, in explicit little endian."""
    encoded = io.BytesIO()
    without_meta = pydicom.Dataset(data)
    pydicom.dcmwrite(encoded, without_meta, implicit_vr=False, little_endian=True)
    return ReceivedInstance(
        sop_class_uid=data.SOPClassUID,
        sop_instance_uid=data.SOPInstanceUID,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        study_instance_uid=data.StudyInstanceUID,
        series_instance_uid=data.SeriesInstanceUID,
        calling_ae_title="SCANNER",
        data=encoded.getvalue(),
    )


def fails_at_once(store: Store, path: Path, name: str, *, calling_ae_title: str = "SCANNER", **header: str) -> str:
    """Keep a study of one image, which is no volume, and return its token."""
    return keep_renamed(store, [path], name, calling_ae_title=calling_ae_title, **header)


def last(store: Store, token: str) -> Round:
    return store.rounds(token)[-1]


def reached(store: Store, token: str, state: State) -> Round:
    wait_until(lambda: last(store, token).state is state)
    return last(store, token)


def contents(store: Store, round_id: str) -> dict[str, bytes]:
    found = {}
    for result in store.results(round_id):
        with store.open(result.id) as file:
            found[result.name] = file.read()
    return found


def ids(store: Store, round_id: str) -> dict[str, str]:
    return {result.name: result.id for result in store.results(round_id)}
