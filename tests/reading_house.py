"""A store that workers read the studies of, one after the other, as processes come and go."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kept_study import Clock, new_store, sent, wait_until
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.metrics import Metrics
from zweitblick.model.bundle import Bundles
from zweitblick.store.life import State
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.worker import Worker

RESULTS = {"seg", "sr", "pdf", "encapsulated-pdf", "json"}


class House:
    """A store, and workers that come and go."""

    def __init__(self, folder: Path, bundles: Bundles) -> None:
        self.folder, self.bundles, self.clock = folder, bundles, Clock()

    @contextmanager
    def store(self, kind: type[Store] = Store) -> Iterator[Store]:
        with new_store(self.folder, self.clock, kind=kind) as store:
            yield store

    def worker(
        self,
        store: Store,
        bundles: Bundles | None = None,
        *,
        deliverer: Deliverer | None = None,
        metrics: Metrics | None = None,
    ) -> Worker:
        work = self.folder / "work"
        return Worker(store, bundles or self.bundles, work, clock=self.clock, deliverer=deliverer, metrics=metrics)


def keep(store: Store, files: list[Path]) -> str:
    for path in files:
        store.keep(sent(path))
    return store.token(sent(files[0]).study_instance_uid)


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
