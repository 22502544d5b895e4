"""Retries: after what a delivery is tried again, when, and how often."""

from zweitblick.errors import (
    CertificateExpiredError,
    CertificateNotYetValidError,
    CmsKeyError,
    KeyUsageError,
    NotCommittedError,
    PeerAnswerError,
    PeerBrokenOffError,
    PeerBusyError,
    PeerCredentialsError,
    PeerRejectedError,
    PeerTimeoutError,
    PeerUnreachableError,
    WeakCryptographyError,
)

FIRST_DELAY_S, LONGEST_DELAY_S = 5.0, 600.0
"""Before the second attempt; twice as long before each further one, at most so long."""

PASSING = (
    PeerUnreachableError,
    PeerTimeoutError,
    PeerBrokenOffError,
    PeerRejectedError,
    PeerBusyError,
    PeerAnswerError,
    PeerCredentialsError,
    NotCommittedError,
    CmsKeyError,
    WeakCryptographyError,
    CertificateExpiredError,
    CertificateNotYetValidError,
    KeyUsageError,
)
"""After these it is tried again, for ever; what else the destination or we refuse, ends it."""

RETRIES = 8
"""So often a round's attempts that fail by a defect of ours, or are lost in the queue, are made again."""


def back_off(attempts: int) -> float:
    """Seconds until the next attempt, after so many have failed."""
    return min(FIRST_DELAY_S * 2.0 ** min(attempts - 1, 10), LONGEST_DELAY_S)
