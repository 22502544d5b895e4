"""Who takes part in an association, as it is named on record."""

from dataclasses import replace

from pynetdicom.association import ServiceUser

from zweitblick.audit.message import Participant


def requestor_of(association: ServiceUser) -> Participant:
    """Return who asks: by IP address, empty if there is none, and AE title."""
    address = association.address_info.address if association.address_info else ""
    return Participant(address, ae_titles=(association.ae_title.strip(),), address=address, is_requestor=True)


def receiver_of(association: ServiceUser, process: Participant) -> Participant:
    """Return our process under the AE title that it was called by."""
    return replace(process, ae_titles=(called_title_of(association),))


def called_title_of(association: ServiceUser) -> str:
    """Return the AE title that we were called by."""
    return association.primitive.called_ae_title.strip() if association.primitive else ""
