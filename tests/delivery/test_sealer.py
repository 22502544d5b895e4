"""What leaves the hospital is sealed: for whom it is meant, once, under UIDs and a pseudonym that link to nothing."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pydicom
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydicom.uid import Comprehensive3DSRStorage
from pynetdicom import AE

from delivery.test_deliverer import PATIENT, shown
from kept_study import Clock, new_store, sent, wait_until
from peers.fake_peers import PDF, SEG, CommittingPeer, StorePeer, made
from reading_house import House, last, reached
from readings import phantom_reading
from store.stores import instance, study_uid
from vault.cms_house import DAY, NOW, authority, certificate, recipient, signer, write, write_key
from zweitblick.delivery.deliverer import Deliverer
from zweitblick.delivery.route import Route
from zweitblick.delivery.seal import Form, Seal, SigningFiles
from zweitblick.delivery.sealer import Sealer, filing
from zweitblick.dicom.encrypted import reidentified
from zweitblick.dicom.seg import segmentation
from zweitblick.dicom.sr import structured_report
from zweitblick.errors import CmsError, CmsFormatError, NotForUsError, UnknownStudyError
from zweitblick.peers.destination import FolderDestination
from zweitblick.peers.instance import Outgoing
from zweitblick.store.deliveries import Delivery, DeliveryState
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.results import ResultName
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.vault.cms.certificates import Trust
from zweitblick.vault.cms.enveloped import decrypted
from zweitblick.vault.cms.keys import FileKey
from zweitblick.vault.cms.secure_file import opened_file
from zweitblick.vault.cms.signed import verified

TRUST = Trust((authority(),))


@dataclass
class Office:
    """Files of those who sign and may open, and what the destinations' tables make of them."""

    folder: Path
    clinic: Path = field(init=False)
    signing: SigningFiles = field(init=False)

    def __post_init__(self) -> None:
        files = write(self.folder, clinic=recipient().certificate, service=signer().certificate)
        self.clinic = files["clinic"]
        self.signing = SigningFiles(write_key(self.folder, "service"), files["service"])

    def seal(self, form: Form) -> Seal:
        return Seal(form, (self.clinic,), self.signing)

    def share(self, name: str = "SHARE", form: Form = Form.SEALED_FILE, *results: str) -> Route:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return Route(FolderDestination(name, folder), results or ("sr",), seal=self.seal(form))

    def has(self, clinic: x509.Certificate) -> None:
        """Replace the clinic's certificate in its file."""
        self.clinic.write_bytes(clinic.public_bytes(Encoding.PEM))


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Without networks, since nothing is read."""
    return House(tmp_path, None)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    reading = phantom_reading(tmp_path_factory.mktemp("source"))
    return structured_report(reading, segmentation(reading))


def kept_round(store: Store, report: bytes) -> Round:
    """Keep a study as if it had been read, with a real report."""
    store.keep(instance())
    token = store.token(study_uid(1))
    store.describe(token, patient_id="ZB-0815", accession_number="")
    for event in (Event.COMPLETED, Event.STARTED):
        store.advance(last(store, token).id, event, by=Actor.WORKER)
    contents = {"seg": made(SEG, size=1000)[1], "sr": report, "encapsulated-pdf": made(PDF, size=1000)[1]}
    for result, content in contents.items():
        store.keep_result(ResultName(last(store, token).id, result, "application/dicom"), io.BytesIO(content))
    store.advance(last(store, token).id, Event.READ, by=Actor.WORKER)
    return last(store, token)


def of(one: Round, route: Route) -> Delivery:
    return Delivery("0" * 32, one.study, one.id, route.destination.name, DeliveryState.WAITING)


def sealed_by(sealer: Sealer, one: Round, route: Route) -> list[Outgoing]:
    assert route.seal is not None
    return sealer.instances(of(one, route), route, route.seal)


def contents(instances: list[Outgoing]) -> list[bytes]:
    found = []
    for one in instances:
        with one.open() as file:
            found.append(file.read())
    return found


def results_of(store: Store, one: Round) -> dict[str, bytes]:
    found = {}
    for result in store.results(one.id):
        with store.open(result.id) as file:
            found[result.name] = file.read()
    return found


def opened(instance: bytes, key: FileKey | None = None) -> bytes:
    """The original of an instance with encrypted attributes, as the clinic opens it."""
    return reidentified(
        instance,
        decrypted=partial(decrypted, recipient=key or recipient()),
        verified=partial(verified, trust=TRUST, at=NOW),
    ).content


@contextmanager
def archive() -> Iterator[StorePeer]:
    """An archive outside that takes structured reports, and nothing else."""
    with StorePeer(sop_classes=(Comprehensive3DSRStorage,)) as peer:
        yield peer


def as_file(peer: StorePeer, uid: str) -> bytes:
    """What an archive took, with a preamble and meta information of its own, as archives write it."""
    data = pydicom.dcmread(io.BytesIO(peer.taken[uid]), force=True)
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_an_archive_outside_gets_a_report_that_only_the_recipient_opens(
    house: House, office: Office, report: bytes
) -> None:
    with house.store() as store, archive() as peer:
        route = Route(peer.destination, ("sr",), seal=office.seal(Form.ENCRYPTED_ATTRIBUTES))
        one = kept_round(store, report)
        deliverer = Deliverer(store, [route], patience=PATIENT)
        with house.worker(store, deliverer=deliverer) as worker:
            worker.submit(one)
            reached(store, one.study, State.AWAITING_REVIEW)
        ((uid, data),) = peer.taken.items()
        file = as_file(peer, uid)
        assert opened(file) == report
        filed, original = pydicom.dcmread(io.BytesIO(file)), pydicom.dcmread(io.BytesIO(report))
        assert filed.PatientID == filing(store, one.study, "PACS").pseudonym
        for value in (original.PatientID, original.PatientName, original.StudyInstanceUID, original.SOPInstanceUID):
            assert str(value).encode() not in data
        assert {result.name for result in store.results(one.id)} == {"seg", "sr", "encapsulated-pdf"}


class CommittingArchive(CommittingPeer):
    """An archive outside that commits itself to keep structured reports."""

    def _entity(self, sop_classes: tuple[str, ...]) -> AE:
        return super()._entity((*sop_classes, Comprehensive3DSRStorage))


def test_an_archive_outside_commits_itself_to_what_it_was_sent(house: House, office: Office, report: bytes) -> None:
    """It was sent another UID than ours, and is asked for that."""
    with house.store() as store, CommittingArchive() as peer:
        route = Route(peer.destination, ("sr",), seal=office.seal(Form.ENCRYPTED_ATTRIBUTES))
        one = kept_round(store, report)
        patience = replace(PATIENT, report_s=20.0)
        with house.worker(store, deliverer=Deliverer(store, [route], patience=patience)) as worker:
            worker.submit(one)
            reached(store, one.study, State.AWAITING_REVIEW)
        assert shown(store, one) == [("PACS", "delivered", 1, None)]
        (asked,) = peer.asked
        assert [item.ReferencedSOPInstanceUID for item in asked.ReferencedSOPSequence] == list(peer.taken)


def test_a_folder_outside_gets_files_that_only_the_recipient_opens(house: House, office: Office, report: bytes) -> None:
    route = office.share("SHARE", Form.SEALED_FILE, "seg", "sr", "encapsulated-pdf")
    with house.store() as store:
        one = kept_round(store, report)
        deliverer = Deliverer(store, [route], patience=PATIENT)
        with house.worker(store, deliverer=deliverer) as worker:
            worker.submit(one)
            reached(store, one.study, State.AWAITING_REVIEW)
        expected = results_of(store, one)
        assert shown(store, one) == [("SHARE", "delivered", 1, None)]
    files = {path: path.read_bytes() for path in (office.folder / "SHARE").iterdir()}
    found = {name: opened_file(data, recipient(), TRUST, at=NOW).content for name, data in files.items()}
    assert sorted(found.values()) == sorted(expected.values())
    uids = [pydicom.dcmread(io.BytesIO(one)).SOPInstanceUID for one in expected.values()]
    for path, data in files.items():
        assert path.suffix == ".p7m"
        assert not any(uid in path.name or uid.encode() in data for uid in uids)


@pytest.mark.parametrize("form", Form)
def test_it_is_sealed_once_whoever_is_asked_again(house: House, office: Office, report: bytes, form: Form) -> None:
    """By two at a time, as after a pause of one, and by another process after a restart."""
    route = office.share("SHARE", form)
    with house.store() as store:
        one = kept_round(store, report)
        with ThreadPoolExecutor(4) as pool:
            sealers = [Sealer(store) for _ in range(4)]
            at_once = list(pool.map(lambda sealer: contents(sealed_by(sealer, one, route)), sealers))
    house.clock.move(3600)
    with house.store() as store:
        later = contents(sealed_by(Sealer(store), one, route))
    assert all(each == later for each in at_once)


def test_a_delivery_that_is_repeated_brings_the_same_bytes(house: House, office: Office, report: bytes) -> None:
    taken: list[bytes] = []

    class Noting(StorePeer):
        def _store(self, event: object) -> int:
            status = super()._store(event)
            taken.extend(self.taken.values())
            return status

    with Noting(sop_classes=(Comprehensive3DSRStorage,)) as peer:
        peer.statuses = [0xA700]
        route = Route(peer.destination, ("sr",), seal=office.seal(Form.ENCRYPTED_ATTRIBUTES))
        with house.store() as store:
            one = kept_round(store, report)
            waiting = Deliverer(store, [route], delay_s=lambda _: 3600.0, patience=PATIENT)
            with house.worker(store, deliverer=waiting) as worker:
                worker.submit(one)
                wait_until(lambda: shown(store, one)[:1] == [("PACS", "waiting", 1, "peer.busy")])
            house.clock.move(60)
            outgoing = contents(sealed_by(Sealer(store), one, route))
        assert [data for data in taken if data not in outgoing[0]] == []
        assert len(taken) == 1


def test_other_recipients_get_it_sealed_anew_under_the_same_uid(house: House, office: Office, report: bytes) -> None:
    route = office.share("SHARE", Form.ENCRYPTED_ATTRIBUTES)
    with house.store() as store:
        one = kept_round(store, report)
        sealer = Sealer(store)
        (first,) = sealed_by(sealer, one, route)
        renewed = replace(recipient(), certificate=certificate("hospital", "key_encipherment", serial=4711))
        office.has(renewed.certificate)
        (second,) = sealed_by(sealer, one, route)
        (old,), (new,) = contents([first]), contents([second])
    assert first.sop_instance_uid == second.sop_instance_uid
    assert old != new
    assert opened(new, renewed) == report
    with pytest.raises(NotForUsError):
        opened(new)


def test_another_form_is_sealed_anew(house: House, office: Office, report: bytes) -> None:
    with house.store() as store:
        one = kept_round(store, report)
        sealer = Sealer(store)
        (first,) = contents(sealed_by(sealer, one, office.share(form=Form.SEALED_FILE)))
        (second,) = contents(sealed_by(sealer, one, office.share(form=Form.ENCRYPTED_ATTRIBUTES)))
    assert opened_file(first, recipient(), TRUST, at=NOW).content == opened(second) == report


USABLE = {"usage": "key_encipherment"}
UNUSABLE = {
    "cms.expired": USABLE | {"end": NOW - DAY / 2},
    "cms.not-yet-valid": USABLE | {"start": NOW - DAY / 12},
    "cms.key-usage": {"usage": "digital_signature"},
    "cms.weak": USABLE | {"bits": 2048},
}


@pytest.mark.parametrize("code", UNUSABLE)
def test_nothing_is_sealed_for_a_certificate_that_must_not_be_used(
    house: House, office: Office, report: bytes, code: str
) -> None:
    office.has(certificate("hospital", **UNUSABLE[code]))
    house.clock.now = NOW - DAY / 6
    with house.store() as store:
        one = kept_round(store, report)
        with pytest.raises(CmsError) as raised:
            sealed_by(Sealer(store), one, office.share())
        assert raised.value.code == code
        assert store.outgoing(one.id) == []


def test_a_certificate_that_must_not_be_used_keeps_it_waiting_until_it_is_renewed(
    house: House, office: Office, report: bytes
) -> None:
    office.has(certificate("hospital", **UNUSABLE["cms.expired"]))
    route = office.share()
    with house.store() as store:
        one = kept_round(store, report)
        with house.worker(store, deliverer=sealing(store, route, house)) as worker:
            worker.submit(one)
            wait_until(lambda: [each[3] for each in shown(store, one)] == ["cms.expired"])
            assert list((office.folder / "SHARE").iterdir()) == []
            office.has(recipient().certificate)
            reached(store, one.study, State.AWAITING_REVIEW)
        assert len(list((office.folder / "SHARE").iterdir())) == 1


def sealing(store: Store, route: Route, house: House) -> Deliverer:
    return Deliverer(store, [route], delay_s=lambda _: 0.01, patience=PATIENT)


def test_what_has_no_such_form_is_refused(house: House, office: Office, report: bytes) -> None:
    route = office.share("SHARE", Form.ENCRYPTED_ATTRIBUTES, "seg")
    with house.store() as store:
        one = kept_round(store, report)
        with pytest.raises(CmsFormatError):
            sealed_by(Sealer(store), one, route)


def test_a_patient_has_one_pseudonym_at_a_destination_and_another_elsewhere(tmp_path: Path) -> None:
    with new_store(tmp_path, Clock()) as store:
        tokens = {}
        patients = {"a": "P-1", "b": "P-1", "c": "P-2", "d": "", "e": ""}
        for number, (name, patient_id) in enumerate(patients.items()):
            store.keep(instance(number))
            tokens[name] = store.token(study_uid(number))
            store.describe(tokens[name], patient_id=patient_id, accession_number="")
        at_cloud = {name: filing(store, token, "CLOUD") for name, token in tokens.items()}
        elsewhere = filing(store, tokens["a"], "SHARE")
    pseudonyms = {name: one.pseudonym for name, one in at_cloud.items()}
    assert pseudonyms["a"] == pseudonyms["b"]
    assert len(set(pseudonyms.values())) == 4, "those who have no Patient ID are not one patient"
    assert elsewhere.pseudonym not in pseudonyms.values()
    assert elsewhere.uid("1.2.3") != at_cloud["a"].uid("1.2.3")
    assert all(one.isalnum() and len(one) <= 64 for one in pseudonyms.values())


def test_what_an_archive_outside_sends_back_begins_no_study(
    house: House, office: Office, report: bytes, tmp_path: Path
) -> None:
    route = office.share("SHARE", Form.ENCRYPTED_ATTRIBUTES)
    with house.store() as store:
        one = kept_round(store, report)
        (content,) = contents(sealed_by(Sealer(store), one, route))
        (tmp_path / "returned.dcm").write_bytes(content)
        returned = sent(tmp_path / "returned.dcm")
        store.keep(returned)
        with pytest.raises(UnknownStudyError):
            store.token(returned.study_instance_uid)
        assert len(store.rounds(one.study)) == 1
