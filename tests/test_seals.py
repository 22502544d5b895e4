"""Certificates of destinations outside are tried by `zweitblick check`, and at start: none is found out at night."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vault.cms_house import DAY, certificate, write, write_key
from zweitblick.cli.checks import checks
from zweitblick.cli.service import serving, working
from zweitblick.delivery.route import Route
from zweitblick.delivery.seal import Form, Seal, SigningFiles
from zweitblick.errors import CmsError, SettingsError
from zweitblick.peers.destination import FolderDestination
from zweitblick.settings import DicomSettings, HttpSettings, Settings

TODAY = datetime.now(UTC)
"""The service has the machine's clock."""
CLINIC, SIGNER = ("clinic", "key_encipherment"), ("service", "digital_signature")
USABLE = {"start": TODAY - DAY, "end": TODAY + 10 * DAY}
FAULTS = {
    "cms.expired": USABLE | {"start": TODAY - 2 * DAY, "end": TODAY - DAY},
    "cms.not-yet-valid": USABLE | {"start": TODAY + DAY},
    "cms.key-usage": USABLE | {"usage": "digital_signature"},
    "cms.weak": USABLE | {"bits": 2048},
    "cms.key": None,
}
"""What is wrong with the clinic's certificate; None: it is not there."""


def settings_in(folder: Path) -> Settings:
    """With a folder outside, for a clinic whose certificate is in order."""
    (folder / "share").mkdir()
    files = write(folder, clinic=certificate(*CLINIC, **USABLE), service=certificate(*SIGNER, **USABLE))
    signing = SigningFiles(write_key(folder, "service"), files["service"])
    seal = Seal(Form.SEALED_FILE, (files["clinic"],), signing)
    route = Route(FolderDestination("SHARE", folder / "share"), seal=seal)
    free = DicomSettings(port=0), HttpSettings(port=0)
    return Settings(folder / "data", folder / "key", routes=(route,), sealing=signing, dicom=free[0], http=free[1])


def test_a_check_says_for_whom_and_how_long(tmp_path: Path) -> None:
    found = checks(settings_in(tmp_path))
    end = TODAY + 10 * DAY
    assert found["seal for SHARE"]() == f"sealed-file for 1 recipient, until {end:%Y-%m-%d}, for 9 days"
    assert found["to SHARE"]() == f"{tmp_path / 'share'} can be written"
    assert list((tmp_path / "share").iterdir()) == []


@pytest.mark.parametrize("code", FAULTS)
def test_a_certificate_that_must_not_be_used_is_a_fault_and_nothing_starts(tmp_path: Path, code: str) -> None:
    settings = settings_in(tmp_path)
    if FAULTS[code] is None:
        (tmp_path / "clinic.crt").unlink()
    else:
        write(tmp_path, clinic=certificate("clinic", **({"usage": "key_encipherment"} | FAULTS[code])))
    with pytest.raises(CmsError) as raised:
        checks(settings)["seal for SHARE"]()
    assert raised.value.code == code
    for start in (serving, working):
        with pytest.raises(SettingsError, match=rf"^destinations\.SHARE: {code}: "), start(settings):
            pass


def test_the_signers_certificate_counts_too(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    write(tmp_path, service=certificate("service", "key_encipherment", **USABLE))
    with pytest.raises(CmsError) as raised:
        checks(settings)["seal for SHARE"]()
    assert raised.value.code == "cms.key-usage"
