"""A patient's second study is compared with the first one by the service itself."""

import json
from pathlib import Path

from kept_study import files_of
from reading_house import House, contents, keep, last, reached
from zweitblick.sample import SampleSpec, follow_up, write_sample
from zweitblick.store.life import State


def test_the_second_study_of_a_patient_tells_what_has_changed(house: House, tmp_path: Path) -> None:
    first, second = SampleSpec(slice_mm=8.0), follow_up(SampleSpec(slice_mm=8.0), day=45)
    told = []
    with house.store() as store, house.worker(store) as worker:
        for number, spec in enumerate((first, second)):
            write_sample(tmp_path / f"study {number}", spec=spec)
            token = keep(store, files_of(tmp_path / f"study {number}", "T1c"))
            worker.submit(last(store, token))
            done = reached(store, token, State.AWAITING_REVIEW)
            told.append(json.loads(contents(store, done.id)["json"]))
            house.clock.move(60)
    assert told[0]["change"] is None
    change = told[1]["change"]
    assert change["days_between"] == 45
    assert change["earlier_study_instance_uid"] == told[0]["study"]["study_instance_uid"]
    assert change["volume"]["WT"]["before_ml"] == told[0]["findings"]["volume_ml"]["WT"]
    assert change["matching"]["matched"]
    assert change["matching"]["lesions"][0]["fate"] == "matched"
