"""Routes: which results of which studies go to a destination."""

from collections.abc import Sequence
from dataclasses import dataclass

from zweitblick.delivery.seal import Seal
from zweitblick.errors import UnknownObjectError
from zweitblick.peers.destination import Destination
from zweitblick.store.objects import KeptResult

DICOM_RESULTS = ("seg", "sr", "encapsulated-pdf")
"""Names of the results that are DICOM instances, in the order in which they are sent: a report after its evidence."""


@dataclass(frozen=True)
class Origin:
    """Where a study is from.

    Parameters
    ----------
    senders
        Calling AE titles of those who sent its images.
    modalities, body_parts
        Modality (0008,0060) and Body Part Examined (0018,0015) of its series.
    """

    senders: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Route:
    """What goes to a destination: results of the studies that fulfil all conditions.

    Parameters
    ----------
    destination
        Where to.
    results
        Names of results, of `DICOM_RESULTS`, or that of the FHIR bundle alone.
    senders, modalities, body_parts
        A study must have one of each; empty takes any.
    priors
        Whether earlier studies of a patient are fetched from there.
    inputs
        Whether the input of work items is.
    seal
        Signs and encrypts what goes there; None for a destination inside of the hospital.
    """

    destination: Destination
    results: tuple[str, ...] = DICOM_RESULTS
    senders: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()
    priors: bool = False
    inputs: bool = False
    seal: Seal | None = None

    def takes(self, origin: Origin) -> bool:
        """Whether the results of a study from there go here."""
        if not self.results:
            return False
        wanted = (self.senders, self.modalities, self.body_parts)
        found = (origin.senders, origin.modalities, origin.body_parts)
        return all(not want or want & have for want, have in zip(wanted, found, strict=True))

    def chosen(self, results: Sequence[KeptResult]) -> list[KeptResult]:
        """Return those of a round's results that go here, in the order in which they are sent.

        Raises
        ------
        UnknownObjectError
            If the round lacks one, as one that an older release has read.
        """
        kept = {one.name: one for one in results}
        lacking = [name for name in self.results if name not in kept]
        if lacking:
            raise UnknownObjectError(
                f"the round has no {lacking[0]} for {self.destination.name}; leave it out, or have the study read anew"
            )
        return [kept[name] for name in self.results]
