"""Encrypted attributes: what is readable without the key, and that with it we, and GDCM, get the original."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import gdcm
import pydicom
import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs7 import pkcs7_decrypt_der
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, Comprehensive3DSRStorage, ExplicitVRLittleEndian

from readings import STUDY_UID, Phantom, phantom_reading
from vault.cms_house import NOW, authority, private_key, recipient, signer
from zweitblick import __version__
from zweitblick.dicom.encrypted import Filing, encrypted_instance, reidentified
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.errors import AlteredError, CmsError, CmsFormatError, CmsKeyError, NotForUsError, WrongSignerError
from zweitblick.reading import is_ours
from zweitblick.vault.cms.certificates import Recipients, Trust
from zweitblick.vault.cms.enveloped import decrypted, enveloped
from zweitblick.vault.cms.keys import FileKey
from zweitblick.vault.cms.secure_file import sealed_file
from zweitblick.vault.cms.signed import signed, verified

US = Recipients((recipient().certificate,))
FILING = Filing("7F3A9", secret=bytes(range(32)))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """SEG and SR of one reading."""
    reading = phantom_reading(tmp_path_factory.mktemp("source"), Phantom(lesions=2))
    seg = segmentation(reading)
    return seg, structured_report(reading, seg)


@pytest.fixture(scope="module")
def report(reports: tuple[bytes, bytes]) -> bytes:
    return reports[1]


def encrypted(report: bytes, filing: Filing = FILING, by: FileKey | None = None) -> bytes:
    return encrypted_instance(
        report,
        filing,
        signed=partial(signed, signer=by or signer(), at=NOW),
        enveloped=partial(enveloped, recipients=US, at=NOW),
    )


def restored(content: bytes, key: FileKey | None = None) -> bytes:
    found = reidentified(
        content,
        decrypted=partial(decrypted, recipient=key or recipient()),
        verified=partial(verified, trust=Trust((authority(),)), at=NOW),
    )
    return found.content


@pytest.fixture(scope="module")
def instance(report: bytes) -> bytes:
    return encrypted(report)


def data_set(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content))


def secrets_of(report: bytes) -> set[bytes]:
    """Every value of the original that is longer than three characters, but for what the standard itself names."""
    dataset = data_set(report)
    values: set[str] = set()

    def take(_: Dataset, element: pydicom.DataElement) -> None:
        if element.VR in ("PN", "LO", "SH", "LT", "ST", "UT", "UC", "DA", "TM", "DT", "UI", "DS"):
            several = element.value if element.VM > 1 else [element.value]
            values.update(str(one) for one in several)

    dataset.walk(take)
    told = {Comprehensive3DSRStorage, "zweitblick", "Comment", "Basic Application Confidentiality Profile"}
    return {value.encode() for value in values - told if len(value) > 3 and value not in SCHEMES}


SCHEMES = ("121106",)
"""Codes that the placeholder has in common with any report."""


def test_the_values_searched_for_are_those_of_patient_and_findings(report: bytes) -> None:
    assert {"Grün^Anna".encode(), b"ZB-0815", b"19610402", b"ACC1", STUDY_UID.encode()} <= secrets_of(report)
    assert {b"17.157", b"Left", b"Lesion 1, whole tumour"} <= secrets_of(report)
    assert all(value in report for value in secrets_of(report))


def test_without_the_key_nothing_of_patient_or_findings_is_readable(report: bytes, instance: bytes) -> None:
    sealed = sealed_file(report, US, signer(), at=NOW)
    for secret in secrets_of(report) - {__version__.encode()}:  # file meta information names who wrote the file
        assert secret not in instance
        assert secret not in sealed


def test_with_the_key_it_is_the_original_byte_for_byte(report: bytes, instance: bytes) -> None:
    assert restored(instance) == report


def test_it_says_that_identity_was_removed_and_is_an_instance_of_its_own(report: bytes, instance: bytes) -> None:
    original, dataset = data_set(report), data_set(instance)
    (method,) = dataset.DeidentificationMethodCodeSequence
    assert (dataset.PatientIdentityRemoved, method.CodeValue, method.CodingSchemeDesignator) == ("YES", "113100", "DCM")
    assert dataset.SOPClassUID == original.SOPClassUID
    assert (dataset.PatientID, str(dataset.PatientName)) == ("7F3A9", "7F3A9^")
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        assert dataset[keyword].value != original[keyword].value
        assert UID(dataset[keyword].value).is_valid
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert instance[:128] == bytes(128)
    assert len(dataset.ContentSequence) == 1


def test_a_report_is_filed_under_the_same_uids_each_time_and_otherwise_under_another_secret(report: bytes) -> None:
    uids = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    first, again, other = (
        [data_set(encrypted(report, filing))[keyword].value for keyword in uids]
        for filing in (FILING, FILING, Filing("7F3A9", secret=bytes(32)))
    )
    assert first == again
    assert not set(first) & set(other)
    chosen = data_set(encrypted(report, Filing("7F3A9", bytes(32), study_uid="2.25.4711")))
    assert chosen.StudyInstanceUID == "2.25.4711"


@given(secret=st.binary(min_size=32, max_size=64), number=st.integers(0, 10**30))
def test_derived_uids_are_known_as_ours(secret: bytes, number: int) -> None:
    original = f"1.2.{number}"
    uid = Filing("x", secret).uid(original)
    assert is_ours(uid)
    assert UID(uid).is_valid
    assert uid != Filing("x", secret).uid(original + "1")


def test_a_short_secret_is_refused_and_none_is_shown() -> None:
    with pytest.raises(CmsKeyError, match="31 bytes"):
        Filing("x", bytes(31))
    assert "secret" not in repr(FILING)


def test_by_the_standards_own_way_the_original_comes_out(report: bytes, instance: bytes) -> None:
    """PS3.15 E.1.2 by hand: cryptography decrypts, pydicom decodes, the one item's attributes are the original's."""
    (item,) = data_set(instance).EncryptedAttributesSequence
    assert item.EncryptedContentTransferSyntaxUID == ExplicitVRLittleEndian
    der = cms.ContentInfo.load(item.EncryptedContent).dump()  # without the byte that pads
    plain = pkcs7_decrypt_der(der, recipient().certificate, private_key("hospital"), [])
    (modified,) = read_dataset(io.BytesIO(plain), False, True).ModifiedAttributesSequence
    assert modified == data_set(report)


def test_gdcm_restores_the_original(report: bytes, instance: bytes, tmp_path: Path) -> None:
    """GDCM follows PS3.15 E.1.2 and knows nothing of us; it takes back what de-identification had added."""
    (tmp_path / "key.pem").write_bytes(
        private_key("hospital").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "encrypted.dcm").write_bytes(instance)
    provider = gdcm.CryptoFactory.GetFactoryInstance(gdcm.CryptoFactory.OPENSSL).CreateCMSProvider()
    assert provider.ParseKeyFile(str(tmp_path / "key.pem"))
    reader, writer, restorer = gdcm.Reader(), gdcm.Writer(), gdcm.Anonymizer()
    reader.SetFileName(str(tmp_path / "encrypted.dcm"))
    assert reader.Read()
    restorer.SetFile(reader.GetFile())
    restorer.SetCryptographicMessageSyntax(provider)
    assert restorer.BasicApplicationLevelConfidentialityProfile(False)
    writer.SetFileName(str(tmp_path / "restored.dcm"))
    writer.SetFile(reader.GetFile())
    assert writer.Write()
    found = pydicom.dcmread(tmp_path / "restored.dcm")
    del found.DeidentificationMethodCodeSequence  # GDCM leaves it behind
    assert found == data_set(report)


def test_other_classes_are_refused(reports: tuple[bytes, bytes]) -> None:
    with pytest.raises(CmsFormatError, match="Segmentation Storage"):
        encrypted(reports[0])
    with pytest.raises(CmsFormatError):
        encrypted(b"no DICOM")


def test_somebody_else_does_not_open_it(instance: bytes) -> None:
    with pytest.raises(NotForUsError):
        restored(instance, recipient("stranger"))


def test_another_signer_is_refused(report: bytes) -> None:
    with pytest.raises(WrongSignerError):
        restored(encrypted(report, by=signer("forger", issuer="forger")))


def with_attributes(instance: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """What anybody with the recipient's certificate can make: the instance with another encrypted data set."""
    dataset = data_set(instance)
    (item,) = dataset.EncryptedAttributesSequence
    made = enveloped(change(decrypted(item.EncryptedContent, recipient())), US, at=NOW)
    item.EncryptedContent = made + b"\0" * (len(made) % 2)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda _: b"no data set",
        lambda plain: plain[: len(plain) // 2],
        lambda plain: plain[:-5000],
        lambda plain: plain.replace(b"zweitblick signed instance", b"somebody's signed instance"),
    ],
    ids=["nothing", "rubbish", "half", "cut", "unsigned"],
)
def test_attributes_that_are_not_as_signed_are_refused(instance: bytes, change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(AlteredError):
        restored(with_attributes(instance, change))


def test_what_others_restore_cannot_change_what_we_restore(report: bytes, instance: bytes) -> None:
    """The attributes beside the signed original are not signed; ours come from what is."""
    assert restored(with_attributes(instance, lambda plain: plain.replace(b"17.157", b"99.999", 1))) == report


@given(bit=st.integers(0, 8 * 60_000))
def test_any_bit_of_the_instance(instance: bytes, report: bytes, bit: int) -> None:
    changed = bytearray(instance)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    try:
        found = restored(bytes(changed))
    except CmsError:
        return
    assert found == report


def test_a_plain_report_is_no_sealed_one(report: bytes) -> None:
    for content in (report, b"", b"no DICOM", sealed_file(report, US, signer(), at=NOW)):
        with pytest.raises(CmsFormatError):
            restored(content)


def test_an_envelope_moved_to_another_instance_is_still_its_own_report(report: bytes, instance: bytes) -> None:
    """Replay: the cover is not bound to the content, which says itself whose report it is."""
    dataset = data_set(instance)
    dataset.PatientID, dataset.SOPInstanceUID = "ANOTHER", "2.25.1"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    assert data_set(restored(buffer.getvalue())).SOPInstanceUID == data_set(report).SOPInstanceUID
