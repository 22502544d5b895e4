"""The service signs for every reading: with its own key, of what it has kept, at the end of its own trail."""

import hashlib
import json
import subprocess
from base64 import urlsafe_b64decode
from dataclasses import replace
from pathlib import Path

import pydicom

from audit.happenings import opened_trail, signer_in
from kept_study import sent
from quick_reading import quick
from reading_house import RESULTS, House, contents, keep, reached
from zweitblick.audit.verification import verify_trail
from zweitblick.dicom.read import read_study
from zweitblick.model.bundle import Bundles
from zweitblick.receipt import Receipt, check_results, check_study, opened_receipt
from zweitblick.store.life import State
from zweitblick.vault.keyholders import FileKeyHolder
from zweitblick.worker import Notary


def test_a_receipt_is_kept_with_the_results(tmp_path: Path, bundles: Bundles, quick_files: list[Path]) -> None:
    unsigned = replace(bundles, tumour=replace(bundles.tumour, signed_by=None))
    house = House(tmp_path, quick(unsigned))
    signer = signer_in(tmp_path)
    with opened_trail(tmp_path) as trail, house.store() as store:
        study = keep(store, quick_files)
        house.clock.move(30)
        with house.worker(store, audit=trail, notary=Notary(signer, trail.signed_head)):
            done = reached(store, study, State.AWAITING_REVIEW)
        made = contents(store, done.id)
        media_types = {result.name: result.media_type for result in store.results(done.id)}
        keys = store.key_ids(study)
    assert keys.kek == FileKeyHolder(tmp_path / "key").kek_id
    assert set(made) == {*RESULTS, "receipt"}
    assert media_types["receipt"] == "application/jose"
    token = made.pop("receipt")
    receipt = opened_receipt(token, [signer.public_key])
    assert receipt.keys == keys
    assert [one.signed_by is None for one in receipt.models] == [True, False, False]
    assert "unsigned-model" in {notice["code"] for notice in json.loads(made["json"])["notices"]}
    assert check_results(receipt, made) == ()
    assert check_study(receipt, read_study(quick_files)) == (len(quick_files), 0)
    assert_it_is_what_came(receipt, quick_files)
    # the reading is on record twice, before its images were used and before its results were kept
    assert receipt.audit.count == 2
    verified = verify_trail(tmp_path / "audit", head=receipt.audit, keys=[signer.public_key])
    assert verified.head.count == 2
    assert {"open", "network", "SEG"} <= {stage for stage, _ in receipt.timings_ms}
    assert_sealed(tmp_path, quick_files)
    assert_openssl_verifies(token, tmp_path)


def assert_it_is_what_came(receipt: Receipt, files: list[Path]) -> None:
    came = {hashlib.sha256(sent(path).data).hexdigest() for path in files}
    assert {one.sha256 for one in receipt.instances} == came


def assert_openssl_verifies(token: bytes, folder: Path) -> None:
    message, _, signature = token.rpartition(b".")
    (folder / "message").write_bytes(message)
    (folder / "signature").write_bytes(urlsafe_b64decode(signature + b"=="))
    given = ["-pubin", "-inkey", folder / "signing.pem.pub", "-rawin", "-in", folder / "message"]
    command = ["openssl", "pkeyutl", "-verify", *given, "-sigfile", folder / "signature"]
    assert b"Verified Successfully" in subprocess.run(command, capture_output=True, check=True).stdout


def assert_sealed(folder: Path, files: list[Path]) -> None:
    uid = pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID.encode()
    assert not [path for path in folder.rglob("*") if path.is_file() and uid in path.read_bytes()]
