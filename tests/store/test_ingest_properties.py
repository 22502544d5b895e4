"""Whatever is sent, in whatever order, by however many at once: each content is kept once, and nothing is lost."""

import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from store.stores import Clock, file_holder, instance, opened_store, plain_file, study_uid
from zweitblick.store.ingest import Outcome
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store

Sent = tuple[int, int, bytes]
"""Study, number of the instance, content."""

sendings = st.lists(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.sampled_from([b"a", b"b", b"", bytes(70_000)])), max_size=24
)


@given(sendings, st.integers(1, 5))
@settings(max_examples=25)
def test_each_content_is_kept_once_and_one_of_a_uid_is_read(sendings: Sequence[Sent], threads: int) -> None:
    with tempfile.TemporaryDirectory() as room:
        holder = file_holder(Path(room))
        with opened_store(StorePlaces.within(Path(room)), holder, Clock()) as store:

            def send(first: int) -> None:
                for study, number, data in sendings[first::threads]:
                    store.keep(instance(study, number, data=data))

            senders = [threading.Thread(target=send, args=(first,)) for first in range(threads)]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            for study in {study for study, _, _ in sendings}:
                judge(store, study, [(number, data) for which, number, data in sendings if which == study])


def judge(store: Store, study: int, sent: Sequence[tuple[int, bytes]]) -> None:
    token = store.token(study_uid(study))
    kept = store.instances(token)
    for number in {number for number, _ in sent}:
        of_uid = [each for each in kept if each.sop_instance_uid == instance(study, number).sop_instance_uid]
        files = sorted((plain_file(store, each.id) for each in of_uid), key=by_content)
        contents = sorted({data for which, data in sent if which == number}, key=by_content)
        assert len(files) == len(contents)
        assert all(file.endswith(data) for file, data in zip(files, contents, strict=True))
        (accepted,) = [each.id for each in of_uid if each.conflicts_with is None]
        assert {each.conflicts_with for each in of_uid} <= {None, accepted}
    outcomes = Counter(each.outcome for each in store.receptions(token))
    assert outcomes.total() == len(sent)
    assert outcomes[Outcome.NEW] == len({number for number, _ in sent})
    assert outcomes[Outcome.NEW] + outcomes[Outcome.CONFLICT] == len(set(sent))


def by_content(data: bytes) -> tuple[int, bytes]:
    return len(data), data[-1:]
