"""Program that fills a small file system of its own with a store, frees room, and goes on; for `test_full.py`.

unshare --map-root-user --mount python full_disk.py FOLDER
"""

import subprocess
import sys
from pathlib import Path

from store.stores import Clock, encoded, file_holder, instance, opened_store, plain_file, study_uid
from zweitblick.errors import StoreFullError
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store


def filled(store: Store, first: int, pixel_bytes: int) -> list[int]:
    """Keep instances until there is no room, and return the numbers of those that were acknowledged."""
    kept: list[int] = []
    while True:
        try:
            store.keep(instance(number=first, data=encoded(1, first, pixel_bytes=pixel_bytes)))
        except StoreFullError:
            return kept
        kept.append(first)
        first += 1


def main() -> None:
    folder = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(folder)], check=True)
    places, holder = StorePlaces.within(folder), file_holder(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(2**20))
    with opened_store(places, holder, Clock()) as store:
        sizes = {}
        for pixel_bytes in (300 * 1024, 2048, 512):
            for number in filled(store, 1000 + len(sizes), pixel_bytes):
                sizes[number] = pixel_bytes
        refused = 1000 + len(sizes)
        ballast.unlink()
        store.keep(instance(number=refused, data=encoded(1, refused)))
        sizes[refused] = 2048
        kept = {
            int(each.sop_instance_uid.rsplit(".", 1)[1]): each.id for each in store.instances(store.token(study_uid(1)))
        }
        assert set(kept) == set(sizes)
        for number, pixel_bytes in sizes.items():
            assert plain_file(store, kept[number]).endswith(encoded(1, number, pixel_bytes=pixel_bytes))
    sys.stdout.write(f"{len(sizes)} kept\n")


if __name__ == "__main__":
    main()
