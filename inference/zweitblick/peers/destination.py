"""Destinations: where results go, and how a connection to them is made."""

from dataclasses import dataclass, field
from pathlib import Path

OWN_AE_TITLE = "ZWEITBLICK"
"""Our AE title, where none is set."""


@dataclass(frozen=True)
class Trust:
    """TLS as a client.

    Parameters
    ----------
    cas
        PEM file of the authorities that vouch for the peer; those of the system if None.
    certificate, key
        PEM files to show to the peer; both or none.
    """

    cas: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class StoreDestination:
    """A C-STORE provider.

    Parameters
    ----------
    name
        In settings, logs and answers.
    host, port
        Name or IP address, and port.
    called_ae_title, calling_ae_title
        Its AE title, and ours.
    trust
        TLS; None sends without.
    storage_commitment
        Whether it is asked to commit itself to keep what it took (PS3.4 annex J), and has not got it before.
    """

    name: str
    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str = OWN_AE_TITLE
    trust: Trust | None = None
    storage_commitment: bool = False


@dataclass(frozen=True)
class HttpDestination:
    """A server that is spoken to over HTTP.

    Parameters
    ----------
    name
        In settings, logs and answers.
    url
        Its root, as each kind has it.
    trust
        TLS, where the URL says https.
    token_file
        File with a token that is shown (RFC 6750); read at each sending, so that it may change.
    password_file
        The same with ``user:password`` (RFC 7617).
    """

    name: str
    url: str
    trust: Trust = field(default_factory=Trust)
    token_file: Path | None = None
    password_file: Path | None = None

    @property
    def where(self) -> str:
        """Name and root, for people."""
        return f"{self.name} at {self.url}"

    def address(self, path: str) -> str:
        """Return the URL of a path below the root, as in ``studies/1.2``."""
        return f"{self.url.rstrip('/')}/{path}"


@dataclass(frozen=True)
class StowDestination(HttpDestination):
    """A STOW-RS server; its URL is the DICOMweb root, as in ``https://pacs.example/dicom-web``."""


@dataclass(frozen=True)
class FhirDestination(HttpDestination):
    """A FHIR server; its URL is the service base (FHIR R4 section 3.1.0.1.2), as in ``https://ehr.example/fhir``."""


@dataclass(frozen=True)
class JweDestination(HttpDestination):
    """Who takes FHIR bundles that are sealed; each is posted to the URL."""


@dataclass(frozen=True)
class FolderDestination:
    """A folder, as of a share or of a program that takes files to somewhere else.

    Parameters
    ----------
    name
        In settings, logs and answers.
    folder
        Is there already: a share that is not mounted must not be filled beneath.
    """

    name: str
    folder: Path


Archive = StoreDestination | StowDestination
"""A destination that studies can be fetched from, too."""

Destination = Archive | FolderDestination | FhirDestination | JweDestination
