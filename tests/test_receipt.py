"""A receipt tells what was read by what with what result; nothing about it can be altered, and it fits nothing else."""

import hashlib
import json
from base64 import urlsafe_b64decode
from dataclasses import fields, replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import EncapsulatedPDFStorage

from kept_study import sent
from readings import NETWORKS, STAMP, STUDY_UID, phantom_reading
from signers import OURS, THEIRS, flipped
from zweitblick import receipt as receipts
from zweitblick.audit.head import SignedHead
from zweitblick.errors import ReceiptFormatError, ReceiptMismatchError, SignatureError
from zweitblick.reading import Predecessor, Reading
from zweitblick.receipt import (
    KIND,
    Receipt,
    check_results,
    check_study,
    instance_digest,
    opened_receipt,
    receipt_of,
    signed_receipt,
)
from zweitblick.signing import jws
from zweitblick.study import Series
from zweitblick.timings import Timings
from zweitblick.vault.data_key import KeyIds

KEYS = [OURS.public_key]
RESULTS = {"seg": b"outline", "json": b"findings", "pdf": b"page"}
KEY_IDS = KeyIds("ab" * 16, "the hospital's key of 2026")
HEAD = SignedHead("cd" * 16, 17, "ef" * 32, "01" * 64)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    superseded = Predecessor("1.2.3", EncapsulatedPDFStorage, "1.2.3.4", STAMP.time)
    return replace(phantom_reading(tmp_path_factory.mktemp("source")), predecessors=(superseded,))


@pytest.fixture(scope="module")
def receipt(reading: Reading) -> Receipt:
    moments = iter([0.0, 1.5, 2.0, 2.25])
    timings = Timings(lambda: next(moments))
    for stage in ("open", "network"):
        with timings(stage):
            pass
    return receipt_of(reading, NETWORKS, RESULTS, timings=timings, keys=KEY_IDS, audit=HEAD)


@pytest.fixture(scope="module")
def token(receipt: Receipt) -> bytes:
    return signed_receipt(receipt, OURS)


def payload(token: bytes) -> dict[str, object]:
    """What a receipt says, taken out by nothing of ours."""
    found: dict[str, object] = json.loads(urlsafe_b64decode(token.split(b".")[1] + b"=="))
    return found


def sources(reading: Reading) -> list[Path]:
    return [instance.source for series in reading.study.series for instance in series.instances]


def test_it_tells_all_of_it(reading: Reading, token: bytes) -> None:
    said = payload(token)
    data_sets = {
        str(pydicom.dcmread(path).SOPInstanceUID): hashlib.sha256(sent(path).data).hexdigest()
        for path in sources(reading)
    }
    assert said["study_uid"] == STUDY_UID
    assert said["instances"] == [{"sop_instance_uid": uid, "sha256": data_sets[uid]} for uid in sorted(data_sets)]
    assert said["results"] == {name: hashlib.sha256(content).hexdigest() for name, content in RESULTS.items()}
    assert [(one["name"], one["sha256"], one["signed_by"]) for one in said["models"]] == [
        ("tumour", "a" * 64, "key"),
        ("brain-mask", "b" * 64, "key"),
        ("sequence", "c" * 64, None),
    ]
    assert said["settings"] == {
        "seed": 3,
        "reporting_limit_ml": "0.5",
        "earlier_study_uid": None,
        "superseded_uids": ["1.2.3.4"],
    }
    assert said["timings_ms"] == [["open", 1500], ["network", 250]]
    assert said["keys"] == {"data_key": KEY_IDS.data_key, "kek": KEY_IDS.kek}
    assert said["audit"] == {"trail": HEAD.trail, "count": 17, "head": HEAD.head, "signature": HEAD.signature}
    assert said["versions"]["zweitblick"] == reading.version
    assert {"python", "numpy", "onnxruntime", "pydicom"} <= said["versions"].keys()
    assert said["read_at"] == "2026-11-20T14:30:15+00:00"


def test_it_names_no_patient(reading: Reading, receipt: Receipt, token: bytes) -> None:
    patient = reading.study.patient
    said = json.dumps(payload(token), ensure_ascii=False)
    secrets = [*patient.name.split("^"), patient.id, str(patient.birth_date), reading.study.accession_number]
    assert not [secret for secret in secrets if secret in said]
    assert STUDY_UID not in repr(receipt)


def test_it_comes_back_as_it_was_signed(receipt: Receipt, token: bytes) -> None:
    assert opened_receipt(token, KEYS) == receipt
    without = replace(receipt, keys=None, audit=None)
    assert opened_receipt(signed_receipt(without, OURS), KEYS) == without


def test_any_flipped_bit_is_found(token: bytes) -> None:
    header, content, _ = (8 * len(part) for part in token.split(b"."))
    bits = [*range(header), *range(header, header + content, 101), *range(header + content, 8 * len(token))]
    for bit in bits:
        with pytest.raises(SignatureError):
            opened_receipt(flipped(token, bit), KEYS)


def test_another_key_another_kind_and_anothers_signature_are_found(receipt: Receipt, token: bytes) -> None:
    other = signed_receipt(replace(receipt, read_at="2026-11-21T00:00:00+00:00"), OURS)
    swapped = token.rpartition(b".")[0] + b"." + other.rpartition(b".")[2]
    for forged in (
        signed_receipt(receipt, THEIRS),
        jws.signed(receipt.json(), OURS, kind="zweitblick-bundle+jws"),
        swapped,
        receipt.json(),
    ):
        with pytest.raises(SignatureError):
            opened_receipt(forged, KEYS)


@pytest.mark.parametrize("content", [b"{}", b"[]", b"7", b"no json", b'{"schema_version": "1"}', b'"text"'])
def test_what_is_signed_and_no_receipt_is_refused(content: bytes) -> None:
    with pytest.raises(ReceiptFormatError):
        opened_receipt(jws.signed(content, OURS, kind=KIND), KEYS)


def test_a_newer_form_is_refused(receipt: Receipt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "SCHEMA_VERSION", "2")
    newer = signed_receipt(receipt, OURS)
    monkeypatch.undo()
    with pytest.raises(ReceiptFormatError, match="form '2'"):
        opened_receipt(newer, KEYS)


def test_results_are_known_by_what_they_hold(receipt: Receipt) -> None:
    assert check_results(receipt, {"segmentation.dcm": b"outline", "findings.json": b"findings"}) == ("pdf",)
    with pytest.raises(ReceiptMismatchError, match=r"findings\.json"):
        check_results(receipt, {"findings.json": b"findings."})


def test_an_old_receipt_does_not_fit_another_study(reading: Reading, receipt: Receipt) -> None:
    other = replace(reading, study=replace(reading.study, uid="1.2.3"))
    with pytest.raises(ReceiptMismatchError, match="another study's"):
        check_study(receipt, other.study)
    with pytest.raises(ReceiptMismatchError):
        check_results(receipt, {"findings.json": b"findings of another study"})


def copied(reading: Reading, folder: Path, position: int, *, flip: bool) -> Series:
    """Return the series with one instance in another file: its file meta information or a pixel is another."""
    (series,) = reading.study.series
    instance = series.instances[position]
    content = bytearray(instance.source.read_bytes())
    content[-1 if flip else 0] ^= 1
    (folder / "copy.dcm").write_bytes(content)
    instances = list(series.instances)
    instances[position] = replace(instance, source=folder / "copy.dcm")
    return replace(series, instances=tuple(instances))


def test_the_images_that_were_read_are_known_wherever_they_were_kept(
    reading: Reading, receipt: Receipt, tmp_path: Path
) -> None:
    count = len(receipt.instances)
    assert check_study(receipt, reading.study) == (count, 0)
    (series,) = reading.study.series
    fewer = replace(series, instances=series.instances[1:])
    assert check_study(receipt, replace(reading.study, series=(fewer,))) == (count - 1, 0)
    renamed = replace(series.instances[0], sop_instance_uid="1.2.3")
    more = replace(series, instances=(renamed, *series.instances))
    assert check_study(receipt, replace(reading.study, series=(more,))) == (count, 1)
    twice = replace(series, instances=(series.instances[1], *series.instances[1:]))
    assert check_study(receipt, replace(reading.study, series=(twice,))) == (count - 1, 0), "a copy makes up for none"
    other_preamble = copied(reading, tmp_path, 3, flip=False)
    assert check_study(receipt, replace(reading.study, series=(other_preamble,))) == (count, 0)


def test_one_flipped_bit_of_an_image_is_found_and_named(reading: Reading, receipt: Receipt, tmp_path: Path) -> None:
    altered = copied(reading, tmp_path, 5, flip=True)
    number = altered.instances[5].number
    with pytest.raises(ReceiptMismatchError, match=f"instance {number} of series 7") as caught:
        check_study(receipt, replace(reading.study, series=(altered,)))
    assert STUDY_UID not in str(caught.value)


@pytest.mark.parametrize("content", [b"\x08\x00\x16\x00", bytes(128) + b"DICM", bytes(128) + b"DICM\x02\x00\x10\x00"])
def test_a_file_that_does_not_say_where_its_data_set_begins_counts_as_a_whole(content: bytes) -> None:
    assert instance_digest(content) == hashlib.sha256(content).hexdigest()


def test_every_field_is_signed(receipt: Receipt) -> None:
    assert {field.name for field in fields(Receipt)} | {"schema_version"} == json.loads(receipt.json()).keys()
