"""``zweitblick verify`` says what it has checked and what not, and refuses with one line what was altered."""

import re
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit.happenings import access, opened_trail, signer_in
from readings import NETWORKS, STUDY_UID, phantom_reading
from signers import THEIRS, flipped
from zweitblick.cli import main
from zweitblick.cli.output import write_folder
from zweitblick.model.bundle import default_models
from zweitblick.model.manifest import MANIFEST, sign_bundle
from zweitblick.receipt import receipt_of, signed_receipt
from zweitblick.timings import Timings

RESULTS = {"findings.json": b"findings", "segmentation.dcm": b"outline"}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, results and their receipt, and the trail of the service that has signed it."""
    made = tmp_path_factory.mktemp("room")
    (made / "study").mkdir()
    reading = phantom_reading(made / "study")
    with opened_trail(made) as trail:
        trail.record(access())
        head = trail.signed_head()
        trail.record(access())
    receipt = receipt_of(reading, NETWORKS, RESULTS, timings=Timings(), audit=head)
    write_folder(made / "out", {**RESULTS, "receipt.jws": signed_receipt(receipt, signer_in(made))})
    return made


@pytest.fixture(scope="module")
def hsm_key(room: Path) -> Path:
    """A public key of those that sign receipts in an HSM: RSA."""
    key = rsa.generate_private_key(65537, 3072).public_key()
    (room / "hsm.pub").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return room / "hsm.pub"


def verify(*arguments: str | Path) -> int:
    return main(["verify", *map(str, arguments)])


def key(room: Path) -> list[str | Path]:
    return ["--key", room / "signing.pem.pub"]


def error(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    assert shown.out == ""
    (code,) = re.fullmatch(r"error: ([a-z.-]+): [^\n]+\n", shown.err).groups()
    return code


def test_a_receipt_and_all_that_it_tells_of(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--results", room / "out", "--study", room / "study"]
    assert verify(room / "out" / "receipt.jws", *key(room), *given) == 0
    shown = capsys.readouterr().out
    assert f"study {STUDY_UID}" in shown
    assert "Results: 2 of 2, each as it was made\n" in shown
    assert "Images: 22 of 22, each as it was read\n" in shown
    assert "Model: tumour 0.3.0 on NumPy, fp32, signed by key key\n" in shown
    assert "Model: sequence 0.3.0 on NumPy, fp32, NOT SIGNED" in shown
    assert "Audit: entries 1 to 1 of trail" in shown


def test_what_was_not_given_is_said(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receipt = room / "out" / "receipt.jws"
    assert verify(receipt, *key(room)) == 0
    assert capsys.readouterr().out.count("NOT CHECKED") == 2
    some = ["--results", room / "out" / "findings.json", "--study", room / "study" / "000.dcm"]
    assert verify(receipt, *key(room), *some) == 0
    shown = capsys.readouterr().out
    assert "Results: 1 of 2, each as it was made; NOT GIVEN: segmentation.dcm" in shown
    assert "Images: 1 of 22, each as it was read; NOT GIVEN: 21" in shown


def test_an_altered_result_is_refused(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = Path(shutil.copytree(room / "out", tmp_path / "out"))
    (out / "findings.json").write_bytes(b"no findings")
    assert verify(out / "receipt.jws", *key(room), "--results", out) == 3
    assert error(capsys) == "receipt.mismatch"


def test_an_altered_image_is_refused(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = Path(shutil.copytree(room / "study", tmp_path / "study"))
    content = (study / "004.dcm").read_bytes()
    (study / "004.dcm").write_bytes(flipped(content, 8 * len(content) - 1))
    assert verify(room / "out" / "receipt.jws", *key(room), "--study", study) == 3
    assert error(capsys) == "receipt.mismatch"


def test_an_altered_receipt_is_refused(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = (room / "out" / "receipt.jws").read_bytes()
    (tmp_path / "receipt.jws").write_bytes(flipped(token, 4 * len(token)))
    assert verify(tmp_path / "receipt.jws", *key(room)) == 3
    assert error(capsys) == "signing.signature"
    public = THEIRS.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "theirs.pub").write_bytes(public)
    assert verify(room / "out" / "receipt.jws", "--key", tmp_path / "theirs.pub") == 3
    assert error(capsys) == "signing.signature"


def test_a_receipt_that_is_not_there_is_refused(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(room / "absent.jws", *key(room)) == 3
    assert error(capsys) == "source.missing"


def test_a_trail_is_verified_by_the_head_of_a_receipt(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trail = ["--audit", room / "audit", "--head", room / "out" / "receipt.jws"]
    assert verify(*trail, *key(room)) == 0
    assert "End: entries 1 to 1 lead to the given head" in capsys.readouterr().out
    assert verify(*trail) == 3
    assert error(capsys) == "audit.head"


@pytest.mark.parametrize("folder", ["audit", "absent"])
def test_a_trail_is_not_verified_by_keys_of_receipts_alone(
    room: Path, hsm_key: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        verify("--audit", room / folder, "--key", hsm_key)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "signed by an Ed25519 key, and no --key is one" in shown.err


def test_beside_the_trail_s_key_one_of_receipts_does_no_harm(
    room: Path, hsm_key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify("--audit", room / "audit", "--key", hsm_key, *key(room)) == 0
    assert "Signatures: each by the key\n" in capsys.readouterr().out


def test_a_receipt_of_a_reading_on_no_trail_is_no_head(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    receipt = receipt_of(phantom_reading(room / "study"), NETWORKS, {}, timings=Timings())
    (room / "alone.jws").write_bytes(signed_receipt(receipt, signer_in(room)))
    assert verify("--audit", room / "audit", "--head", room / "alone.jws", *key(room)) == 3
    assert error(capsys) == "audit.head"
    assert verify(room / "alone.jws", *key(room)) == 0
    assert "Audit: on no trail\n" in capsys.readouterr().out


def test_a_released_bundle_needs_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(default_models() / "tumour") == 0
    shown = capsys.readouterr().out
    assert re.search(r"Bundle: tumour \d+\.\d+\.\d+\nFiles: \d+, each as it was signed\n", shown)


def test_a_bundle_that_was_altered_or_is_anothers_is_refused(
    room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(default_models() / "brain-mask", tmp_path / "brain-mask"))
    assert verify(folder, *key(room)) == 3
    assert error(capsys) == "bundle.unsigned"
    with (folder / "LICENSE").open("ab") as file:
        file.write(b" ")
    assert verify(folder) == 3
    assert error(capsys) == "bundle.damaged"
    sign_bundle(folder, signer_in(room))
    assert verify(folder, *key(room)) == 0
    assert "Bundle: brain-mask" in capsys.readouterr().out
    (folder / MANIFEST).unlink()
    assert verify(folder) == 3
    assert error(capsys) == "bundle.unsigned"


@pytest.mark.parametrize("arguments", [[], ["receipt.jws"], ["receipt.jws", "--audit", "trail"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        verify(*arguments)
    assert "usage:" in capsys.readouterr().err
