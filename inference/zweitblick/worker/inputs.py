"""Inputs: which instances of a study are opened to be read."""

from collections.abc import Iterable

from zweitblick.dicom.mr import may_be_mr
from zweitblick.errors import StudyTooLargeError
from zweitblick.reading import Notice
from zweitblick.store.objects import KeptInstance
from zweitblick.store.store import Store


def inputs(store: Store, study: str, number: int) -> list[KeptInstance]:
    """Return the instances that a round's reading may need, in the order of their UIDs.

    Instances of other modalities, reports, and our own results that came back stay closed: a study is held in memory
    as a whole.

    Parameters
    ----------
    store
        Where they are.
    study
        Token.
    number
        Of the round.
    """
    there = [one for one in _images(store, study, number) if one.conflicts_with is None]
    return sorted(there, key=lambda one: one.sop_instance_uid)


def check_size(instances: Iterable[KeptInstance], *, most_bytes: int) -> None:
    """Refuse what would not fit in memory, before any of it is opened.

    Raises
    ------
    StudyTooLargeError
        If the instances have more than ``most_bytes`` together.
    """
    size = sum(one.plain_bytes for one in instances)
    if size > most_bytes:
        raise StudyTooLargeError(
            f"the study's MR instances have {size} bytes and largest_study_bytes is {most_bytes}; raise it if two such "
            "studies fit in memory, and read the study again"
        )


def conflict_notices(store: Store, study: str, number: int) -> tuple[Notice, ...]:
    """Say how many images were not read because others of their UIDs had come first.

    Parameters
    ----------
    store
        Where they are.
    study
        Token.
    number
        Of the round.
    """
    if not store.conflicts(study):  # nearly always; nothing is opened then
        return ()
    count = sum(one.conflicts_with is not None for one in _images(store, study, number))
    text = f"Images that came again with other content, and were kept apart and not read: {count}."
    return (Notice("conflicting-images", text),) if count else ()


def _images(store: Store, study: str, number: int) -> list[KeptInstance]:
    return [one for one in store.instances(study) if one.round <= number and may_be_mr(one.sop_class_uid)]
