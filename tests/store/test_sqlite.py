"""The contract on SQLite."""

from pathlib import Path

import pytest

from store.contract import StoreContract, clock, holder, store
from store.procedure_steps_contract import ProcedureStepsContract
from store.work_contract import WorkContract
from zweitblick.store.places import StorePlaces

__all__ = ["clock", "holder", "store"]


class TestOnSQLite(StoreContract, WorkContract, ProcedureStepsContract):
    @pytest.fixture
    def places(self, tmp_path: Path) -> StorePlaces:
        return StorePlaces.within(tmp_path / "store")
