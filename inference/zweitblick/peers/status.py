"""What a status says of an instance that was sent, in a C-STORE response as in a STOW-RS failure reason."""

from zweitblick.errors import PeerBusyError, PeerError, PeerRefusedError

SUCCESS = 0x0000

DUPLICATE = 0x0111
"""Duplicate SOP Instance (PS3.7 section C.4.9): it is there. Ours never differ, so it is the same."""

_WARNINGS = frozenset({0x0001, 0x0107, 0x0116, DUPLICATE})
"""Outside of Bxxx (PS3.7 annex C)."""

_REFUSED = frozenset({0x0117, 0x0119, 0x0122, 0x0124})
"""Invalid SOP Instance, class-instance conflict, SOP class not supported, not authorized (PS3.7 annex C)."""


def is_warning(status: int) -> bool:
    """Whether a peer has taken an instance, and says something about it (PS3.4 table B.2-1, PS3.7 annex C)."""
    return status >> 12 == 0xB or status in _WARNINGS


def refusal(status: int, *, destination: str) -> PeerError:
    """Return the error of a status that is neither success nor warning.

    Those that say that the instance is at fault, A9xx and Cxxx, would be said again. All others may pass.
    """
    if status >> 8 == 0xA9 or status >> 12 == 0xC or status in _REFUSED:
        return PeerRefusedError(
            f"{destination} refused an instance with status 0x{status:04X}, and would again; ask its administrator"
        )
    return PeerBusyError(f"{destination} refused an instance for now with status 0x{status:04X}; it is sent again")
