"""Which presentation contexts are accepted: every storage SOP class, in every transfer syntax that leaves bytes."""

import re
from collections.abc import Iterable

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

VERIFICATION = UID("1.2.840.10008.1.1")
_PLAIN = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian})
"""Transfer syntaxes of data sets without pixels."""

_STORAGE_NAME = re.compile(r"\bStorage\b(?! Commitment)")
_ENCODING = re.compile(r"1\.2\.840\.10008\.1\.2(?!\.[67]\.)(\.|$)")
"""Transfer syntaxes of data sets; 1.2.6 is for MIME and XML, 1.2.7 for live video (SMPTE ST 2110)."""


def accepted(
    proposed: Iterable[PresentationContext],
    *,
    also: frozenset[UID] = frozenset(),
    reversed_roles: frozenset[UID] = frozenset(),
) -> list[PresentationContext]:
    """Contexts to accept of those that a sender proposes, in its own order of transfer syntaxes.

    A context that is left out, or one whose transfer syntaxes are left out, is rejected in the A-ASSOCIATE-AC. The
    pixel data of any transfer syntax are kept as they come, whether we can decode them or not.

    Parameters
    ----------
    proposed
        By the sender.
    also
        Further SOP classes that we provide.
    reversed_roles
        Further SOP classes, of which the sender may be the provider (PS3.7 section D.3.3.4).
    """
    wanted: dict[UID, dict[UID, None]] = {}
    for context in proposed:
        sop_class = context.abstract_syntax
        if sop_class is not None and (sop_class == VERIFICATION or is_storage(sop_class)):
            syntaxes = wanted.setdefault(sop_class, {})
            syntaxes.update((syntax, None) for syntax in context.transfer_syntax if is_encoding(syntax))
        elif sop_class in also | reversed_roles:
            syntaxes = wanted.setdefault(sop_class, {})
            syntaxes.update((syntax, None) for syntax in context.transfer_syntax if syntax in _PLAIN)
    found = [build_context(sop_class, list(syntaxes)) for sop_class, syntaxes in wanted.items() if syntaxes]
    for context in found:
        if context.abstract_syntax in reversed_roles:
            context.scu_role = context.scp_role = True
    return found


def is_storage(sop_class: UID) -> bool:
    """Whether instances of a SOP class come by C-STORE (PS3.4 annex B).

    Every class that nobody knows to be something else counts: private ones, those newer than our tables, retired
    ones. Non-Patient Object Storage (PS3.4 annex GG) is no part of a study and does not count.
    """
    if sop_class in UID_dictionary and sop_class.type != "SOP Class":
        return False
    service = uid_to_service_class(sop_class)
    if service is not ServiceClass:
        return service is StorageServiceClass
    return sop_class not in UID_dictionary or bool(_STORAGE_NAME.search(sop_class.name))


def is_encoding(syntax: UID) -> bool:
    """Whether a transfer syntax is one of PS3.6 table A-1 for data sets, retired ones included.

    A private one says nothing of how its data set is to be walked.
    """
    return bool(syntax.type == "Transfer Syntax" and _ENCODING.match(syntax))
