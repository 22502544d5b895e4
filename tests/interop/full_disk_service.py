"""Program that fills the small file system on which a `zweitblick serve` keeps its data, frees room, and goes on.

unshare --map-root-user --mount python full_disk_service.py FOLDER STUDY
"""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from dimse.wire import EXPLICIT, MR, RawPeer
from interop.service import Service, serving
from kept_study import files_of, sent
from store.stores import encoded, instance, plain_file, study_uid
from zweitblick.audit.verification import verify_trail
from zweitblick.store.places import StorePlaces
from zweitblick.store.received import ReceivedInstance
from zweitblick.store.store import Store
from zweitblick.vault.keyholders import FileKeyHolder

OUT_OF_RESOURCES = 0xA700
"""PS3.4 table B.2-1."""
SIZES = (256 * 1024, 8 * 1024, 512)
"""Of pixels; ever smaller ones, until there is no room for any."""
LONGER_THAN_QUIET_S = 3.0


def main() -> None:
    home, study = map(Path, sys.argv[1:])
    room = home / "room"
    room.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(room)], check=True)
    ballast = room / "ballast"
    ballast.write_bytes(bytes(24 * 2**20))
    kept: list[ReceivedInstance] = []
    with serving(home, ZWEITBLICK_DATA=str(room / "data")) as service:
        filled(service, kept)
        time.sleep(LONGER_THAN_QUIET_S)  # the worker too finds no room
        refused = filled(service, kept)
        ballast.unlink()
        readable = [sent(path) for path in files_of(study)]
        assert set(statuses(service, [refused, *readable])) == {0}
        kept += [refused, *readable]
        service.reached(readable[0].study_instance_uid, "awaiting review")
        assert service.reached(study_uid(1), "failed")["error"]["code"].startswith("study.")
        service.process.terminate()
        assert service.process.wait(60) == 0
    assert_kept(home, room / "data", kept)
    verify_trail(room / "data" / "audit")
    sys.stdout.write(f"{len(kept) - len(readable)} kept\n")


def filled(service: Service, kept: list[ReceivedInstance]) -> ReceivedInstance:
    """Send until there is no room for the smallest, and return that; all that is acknowledged goes to ``kept``."""
    for size in SIZES:
        while True:
            number = len(kept) + 1
            one = instance(number=number, data=encoded(1, number, pixel_bytes=size))
            (status,) = statuses(service, [one])
            if status != 0:
                assert status == OUT_OF_RESOURCES, f"{status:04x}"
                break
            kept.append(one)
    return one


def statuses(service: Service, instances: list[ReceivedInstance]) -> list[int]:
    with RawPeer(int(service.port)) as peer:
        peer.associate((MR, [EXPLICIT]))
        found = [peer.store(one.data, one.sop_instance_uid) for one in instances]
        peer.release()
    return found


def assert_kept(home: Path, data: Path, sent: list[ReceivedInstance]) -> None:
    holder = FileKeyHolder(home / ".config" / "zweitblick" / "key")
    with Store(StorePlaces.within(data), holder, clock=lambda: datetime.now(UTC)) as store:
        found = {
            one.sop_instance_uid: plain_file(store, one.id)
            for study in {one.study_instance_uid for one in sent}
            for one in store.instances(store.token(study))
        }
    assert found.keys() == {one.sop_instance_uid for one in sent}
    assert all(found[one.sop_instance_uid].endswith(one.data) for one in sent)


if __name__ == "__main__":
    main()
