"""What a store promises to several that have opened it at once."""

import threading
from contextlib import suppress

import pytest

from store.stores import Holder, instance, opened_store, pixels, plain_file, study_uid
from zweitblick.errors import StoreUnavailableError, UnknownStudyError, WorkitemExistsError
from zweitblick.store.ingest import Outcome
from zweitblick.store.life import Actor, Event, State
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store


def add_workitem(store: Store, uid: str) -> None:
    store.workitems.add(uid=uid, study_uid=study_uid(1), state="SCHEDULED", content="{}")


class SharedStoreContract:
    """Needs fixtures ``places`` and ``holder``."""

    def test_two_that_open_the_same_store_keep_one_of_each(self, places: StorePlaces, holder: Holder) -> None:
        """As two receiver processes do: every instance comes to both at once."""
        with opened_store(places, holder) as one, opened_store(places, holder) as other:
            both = threading.Barrier(2)

            def receive(store: Store) -> None:
                for number in range(10):
                    both.wait()
                    store.keep(instance(study=1 + number % 2, number=number))

            threads = [threading.Thread(target=receive, args=(store,)) for store in (one, other)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for study in (1, 2):
                token = one.token(study_uid(study))
                assert token == other.token(study_uid(study))
                assert len(one.instances(token)) == 5
                outcomes = [each.outcome for each in other.receptions(token)]
                assert sorted(outcomes) == [Outcome.DUPLICATE] * 5 + [Outcome.NEW] * 5
                assert [each.number for each in one.rounds(token)] == [1]

    def test_an_instance_that_comes_to_one_while_another_shreds_is_kept(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        """The first still has key and token in memory."""
        with opened_store(places, holder) as one, opened_store(places, holder) as other:
            one.keep(instance())
            other.shred(other.token(study_uid(1)))
            one.keep(instance(number=2))
            (kept,) = other.instances(other.token(study_uid(1)))
            assert plain_file(other, kept.id).endswith(pixels(1, 2))

    def test_what_comes_after_another_has_shredded_is_kept_though_the_key_is_not_in_memory_any_more(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        with opened_store(places, holder) as one, opened_store(places, holder) as other:
            for number, comes in enumerate([lambda: one.keep(instance()), lambda: add_workitem(one, "1.2.1")]):
                one.keep(instance())
                token = one.token(study_uid(1))
                other.shred(token)
                one._rooms.keyring.forget(token)  # as after a thousand other studies
                comes()
                assert one.token(study_uid(1)) != token
                assert len(one.workitems.items()) == number

    def test_a_work_item_that_comes_to_one_while_another_shreds_is_kept_once(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        with opened_store(places, holder) as one, opened_store(places, holder) as other:
            add_workitem(one, "1.2.1")
            (before,) = one.workitems.items()
            other.shred(before.study)
            for _ in range(2):
                add_workitem(one, "1.2.1")
                (kept,) = other.workitems.items()
                assert (kept.uid, kept.study) == ("1.2.1", one.token(study_uid(1)))
                with pytest.raises(WorkitemExistsError):
                    add_workitem(one, "1.2.1")
                other.shred(kept.study)

    def test_of_two_that_come_late_at_once_one_begins_the_next_round(self, places: StorePlaces, holder: Holder) -> None:
        with opened_store(places, holder) as one, opened_store(places, holder) as other:
            for study in range(1, 9):
                one.keep(instance(study))
                (first,) = one.rounds(one.token(study_uid(study)))
                for event in (Event.COMPLETED, Event.STARTED):
                    one.advance(first.id, event, by=Actor.WORKER)
            both = threading.Barrier(2)

            def receive(store: Store, number: int) -> None:
                for study in range(1, 9):
                    both.wait()
                    store.keep(instance(study, number))

            threads = [threading.Thread(target=receive, args=each) for each in ((one, 2), (other, 3))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for study in range(1, 9):
                token = one.token(study_uid(study))
                assert [each.state for each in one.rounds(token)] == [State.SUPERSEDED, State.RECEIVING]
                assert sorted(each.round for each in one.instances(token)) == [1, 2, 2]

    def test_whatever_comes_while_it_is_shredded_is_kept_or_leaves_nothing(
        self, places: StorePlaces, holder: Holder
    ) -> None:
        with opened_store(places, holder) as one, opened_store(places, holder) as other:
            sent, done = threading.Semaphore(0), threading.Event()

            def receive() -> None:
                for number in range(40):
                    with suppress(StoreUnavailableError):  # it is being shredded
                        one.keep(instance(number=number))
                    sent.release()
                done.set()

            receiver = threading.Thread(target=receive)
            receiver.start()
            while not done.is_set():
                sent.acquire()
                with suppress(UnknownStudyError):
                    other.shred(other.token(study_uid(1)))
            receiver.join()
            one.keep(instance(number=99))
            (kept, *_) = other.instances(other.token(study_uid(1)))
            assert plain_file(one, kept.id)
            other.shred(other.token(study_uid(1)))
        opened_store(places, holder).close()
        assert [path for path in places.objects.rglob("??/*") if path.is_file()] == []
