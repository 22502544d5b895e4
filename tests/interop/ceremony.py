"""Stands for a scanner and for a reader in docs/security.md.

python ceremony.py send STUDY      keeps an image of a study, as the receiver does
python ceremony.py show STUDY      opens it, as a reading does, and says how many bytes it has
"""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from store.stores import instance, plain_file
from zweitblick.cli.keyholder import opened_holder
from zweitblick.errors import ZweitblickError
from zweitblick.settings import load_settings
from zweitblick.store.places import StorePlaces
from zweitblick.store.store import Store


def main() -> None:
    command, uid = sys.argv[1:]
    settings = load_settings(Path("settings.toml"), {})
    sent = replace(instance(), study_instance_uid=uid)
    with (
        opened_holder(settings) as holder,
        Store(StorePlaces.within(settings.data), holder, clock=lambda: datetime.now(UTC)) as store,
    ):
        if command == "send":
            store.keep(sent)
        (kept,) = store.instances(store.token(uid))
        plain = plain_file(store, kept.id)
    if not plain.endswith(sent.data):
        sys.exit("another image than was sent")
    sys.stdout.write(f"{command}: {kept.plain_bytes} bytes\n")


if __name__ == "__main__":
    try:
        main()
    except ZweitblickError as error:
        sys.exit(f"{error.code}: {error}")
