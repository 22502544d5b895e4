"""A store served over HTTP in a thread, and clients that bear its token or do not."""

from pathlib import Path

import httpx
import pydicom
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session

from audit.book import Book
from kept_study import Clock, sent
from zweitblick.store.life import Actor, Event
from zweitblick.store.results import ResultName
from zweitblick.store.rounds import Round
from zweitblick.store.store import Store
from zweitblick.web import HttpServer, Service, create_app, one_token
from zweitblick.worklist import Notices, Worklist

TOKEN = "a token that is never printed"  # noqa: S105 -- of this test alone
PROBLEM = "application/problem+json"
TO_READ = (Event.COMPLETED, Event.STARTED, Event.READ)
LARGEST_UPLOAD_BYTES = 8 * 2**20


class WebHouse:
    """A store, and what serves it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock, self.submitted, self.book = store, clock, [], Book()
        self.counted = 0
        worklist = Worklist(store.workitems, Notices(), clock, self.book)
        service = Service(
            store, self.submitted.append, lambda: True, worklist, self.book, LARGEST_UPLOAD_BYTES, self.count_conflict
        )
        self.server = HttpServer(create_app(service, doors=one_token(TOKEN)), host="127.0.0.1", port=0)
        self.root = f"{self.server.address}/dicom-web"
        self.stranger = httpx.Client(base_url=self.server.address)
        self.client = httpx.Client(base_url=self.server.address, headers={"Authorization": f"Bearer {TOKEN}"})
        self.session = create_session()
        self.session.headers["Authorization"] = f"Bearer {TOKEN}"
        self.dicomweb = DICOMwebClient(self.root, session=self.session)
        self.dicomweb.host = self.server.address.removeprefix("http://")  # with the port, which it leaves out

    def close(self) -> None:
        for one in (self.session, self.stranger, self.client, self.server):
            one.close()

    def count_conflict(self) -> None:
        self.counted += 1

    def keep(self, *files: Path) -> None:
        for path in files:
            self.store.keep(sent(path))

    def keep_later(self, *files: Path) -> None:
        self.clock.move(60)
        self.keep(*files)

    def last(self, study_uid: str) -> Round:
        return self.store.rounds(self.store.token(study_uid))[-1]

    def happen(self, study_uid: str, *events: Event) -> None:
        for event in events:
            self.store.advance(self.last(study_uid).id, event, by=Actor.WORKER)

    def keep_result(self, study_uid: str, name: str, file: Path) -> None:
        uid = pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID
        with file.open("rb") as content:
            self.store.keep_result(ResultName(self.last(study_uid).id, name, "application/dicom", uid), content)

    def contents(self, study_uid: str) -> dict[str, bytes]:
        """What is kept, by SOP Instance UID."""
        found = {}
        for one in self.store.instances(self.store.token(study_uid)):
            with self.store.open(one.id) as file:
                found[one.sop_instance_uid] = file.read()
        return found
