"""What is provided on the DICOM port besides C-ECHO, and who serves which request."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom.association import ServiceUser
from pynetdicom.presentation import PresentationContext

from zweitblick.audit.auditor import Auditor
from zweitblick.audit.reception import Reception
from zweitblick.catalogue.search import Search
from zweitblick.dicom.commitment import STORAGE_COMMITMENT
from zweitblick.dicom.performed_step import PERFORMED_STEP
from zweitblick.dicom.query_retrieve import STUDY_ROOT_FIND
from zweitblick.dimse.commitment import Committed, serve_report
from zweitblick.dimse.find import Find
from zweitblick.dimse.messages import C_FIND, C_STORE, N_CREATE, N_EVENT_REPORT, N_SET, Request, Response
from zweitblick.dimse.procedure_steps import ProcedureSteps, StepKeeper
from zweitblick.dimse.status import SUCCESS
from zweitblick.dimse.storage import Storage


@dataclass(frozen=True)
class Services:
    """What is provided besides C-ECHO and C-STORE; what is None is not.

    Parameters
    ----------
    committed
        Is told what peers commit themselves to keep (PS3.4 section J.3.3).
    search
        Answers queries (PS3.4 section C.4.1).
    steps
        Keeps what modalities tell of their work (PS3.4 section F.7).
    """

    committed: Committed | None = None
    search: Search | None = None
    steps: StepKeeper | None = None


NO_MORE = Services()


class Provider:
    """Serves requests.

    Parameters
    ----------
    storage
        Serves C-STORE.
    services
        What else is provided.
    audit
        Has it on record.
    """

    def __init__(self, storage: Storage, services: Services, audit: Auditor) -> None:
        self._storage = storage
        self._committed = services.committed
        self._find = None if services.search is None else Find(services.search, audit)
        self._steps = None if services.steps is None else ProcedureSteps(services.steps, audit)

    @property
    def provided(self) -> frozenset[UID]:
        """SOP classes besides verification and storage of which we are the provider."""
        given = {STUDY_ROOT_FIND: self._find, PERFORMED_STEP: self._steps}
        return frozenset(sop_class for sop_class, service in given.items() if service is not None)

    @property
    def used(self) -> frozenset[UID]:
        """SOP classes of which the sender is the provider."""
        return frozenset() if self._committed is None else frozenset({STORAGE_COMMITMENT})

    def serve(
        self, request: Request, context: PresentationContext, requestor: ServiceUser, *, reception: Reception
    ) -> Iterable[Response]:
        """Serve a request that its context allows, and give its responses."""
        if request.command == C_STORE:
            return [Response(self._storage.serve(request, context, requestor, reception=reception))]
        if request.command == N_EVENT_REPORT and self._committed is not None:
            return [Response(serve_report(request, context, self._committed))]
        if request.command == C_FIND and self._find is not None:
            return self._find.serve(request, context, requestor)
        if request.command in (N_CREATE, N_SET) and self._steps is not None:
            return [Response(self._steps.serve(request, context, requestor))]
        return [Response(SUCCESS)]  # of C-ECHO
