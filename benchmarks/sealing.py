"""Time sealing and opening on one core against `openssl speed` at the same block size in the same run.

Where SoftHSM is installed, wrapping of data keys in it too, against the same primitive in this process. At last what
all of it takes of ingest and of a warm reading: `benchmarks.vault_share`, whose docstring says how that is measured.

python -m benchmarks.sealing     medians of five, references interleaved; GB/s of plaintext, keys a second, shares

Aims: of large objects 1 GB/s on a core, or 0.7 of `openssl speed`; of ingest at most 10 %, of a warm reading 3 %.
"""

import io
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks import vault_share
from benchmarks.figures import publish
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from rich.table import Table

from zweitblick.vault.data_key import DataKey
from zweitblick.vault.envelope import SEGMENT_BYTES, OpeningReader, SealingWriter, opened, sealed
from zweitblick.vault.keyholders.places import TokenPlace

RUNS = 5
LARGE = 128 * 2**20
"""An enhanced multi-frame series."""
SMALL = 2**17
"""A slice of 256×256 voxels of 16 bits."""
KEYS = 1000
"""Wrapped in a row."""
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
KEY = DataKey(os.urandom(32))
PLACE = {"study": "benchmark", "name": "object"}


class Discarding(io.RawIOBase):
    """A sink that costs nothing."""

    def write(self, data: bytes) -> int:
        return len(data)


def main() -> None:
    large, small = os.urandom(LARGE), os.urandom(SMALL)
    sealed_large, sealed_small = (sealed(plain, KEY, **PLACE) for plain in (large, small))
    table = Table("what", "ours, GB/s", "spread", "openssl, GB/s", "spread", "ratio")
    compare(table, "seal a stream, 128 MiB", lambda: seal_stream(large), LARGE, openssl(SEGMENT_BYTES))
    decrypting = openssl(SEGMENT_BYTES, "-decrypt")
    compare(table, "open a stream, 128 MiB", lambda: open_stream(sealed_large), LARGE, decrypting)
    compare(table, "seal 1000 objects of 128 KiB", lambda: seal_many(small), 1000 * SMALL, openssl(SMALL))
    decrypting = openssl(SMALL, "-decrypt")
    compare(table, "open 1000 objects of 128 KiB", lambda: open_many(sealed_small), 1000 * SMALL, decrypting)
    publish("sealing", table)
    if SOFTHSM.exists():
        publish("wrapping keys", wrapping())
    vault_share.main()


def wrapping() -> Table:
    """Keys a second on one core; SoftHSM computes in this process, an HSM would not."""
    from zweitblick.vault.keyholders.pkcs11 import Pkcs11KeyHolder  # noqa: PLC0415 -- an optional extra

    table = Table("what", "SoftHSM, keys/s", "spread", "in process, keys/s", "spread", "ratio")
    with tempfile.TemporaryDirectory() as folder, closing(Pkcs11KeyHolder(new_token(Path(folder)))) as hsm:
        hsm.make_kek()
        wrapped, plain = hsm.wrap(KEY), aes_key_wrap(KEY.secret, KEY.secret)
        rows = {
            "wrap a data key": (lambda: hsm.wrap(KEY), lambda: aes_key_wrap(KEY.secret, KEY.secret)),
            "unwrap a data key": (lambda: hsm.unwrap(wrapped), lambda: aes_key_unwrap(KEY.secret, plain)),
        }
        for what, (ours, reference) in rows.items():
            pairs = [(KEYS / seconds(many(ours)), KEYS / seconds(many(reference))) for _ in range(RUNS + 1)][1:]
            add(table, what, pairs, ".0f")
    return table


def new_token(folder: Path) -> TokenPlace:
    """Make a SoftHSM token in a folder."""
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    pin_file = folder / "pin"
    pin_file.touch(0o600)
    pin_file.write_text("773311")
    make = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        "benchmark",
        "--so-pin",
        "11111111",
        "--pin",
        "773311",
    ]
    subprocess.run(make, check=True, capture_output=True)
    return TokenPlace(SOFTHSM, "benchmark", "zweitblick", pin_file)


def many(call: Callable[[], object]) -> Callable[[], None]:
    def called() -> None:
        for _ in range(KEYS):
            call()

    return called


def seal_stream(plain: bytes) -> None:
    """As an upload comes: in pieces of 64 KiB."""
    view = memoryview(plain)
    with SealingWriter(Discarding(), KEY, **PLACE) as writer:
        for start in range(0, len(view), 2**16):
            writer.write(view[start : start + 2**16])


def open_stream(data: bytes) -> None:
    reader, buffer = OpeningReader(io.BytesIO(data), KEY, **PLACE), bytearray(2**16)
    while reader.readinto(buffer):
        pass


def seal_many(plain: bytes) -> None:
    for _ in range(1000):
        sealed(plain, KEY, **PLACE)


def open_many(data: bytes) -> None:
    for _ in range(1000):
        opened(data, KEY, **PLACE)


def openssl(block_bytes: int, *options: str) -> Callable[[], float]:
    """GB/s of `openssl speed`, whose line for machines is +F:number:name:bytes a second."""
    command = ["openssl", "speed", "-mr", "-seconds", "1", *options, "-evp", "aes-256-gcm", "-bytes", str(block_bytes)]

    def measured() -> float:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("+F:")]
        return float(line.rsplit(":", 1)[1]) / 1e9

    return measured


def compare(table: Table, what: str, ours: Callable[[], object], size: int, reference: Callable[[], float]) -> None:
    add(table, what, [(size / seconds(ours) / 1e9, reference()) for _ in range(RUNS + 1)][1:], ".2f")


def add(table: Table, what: str, pairs: Sequence[tuple[float, float]], form: str) -> None:
    mine, theirs = (sorted(column) for column in zip(*pairs, strict=True))
    middle, other = statistics.median(mine), statistics.median(theirs)
    spreads = [f"{column[0]:{form}}-{column[-1]:{form}}" for column in (mine, theirs)]
    table.add_row(what, f"{middle:{form}}", spreads[0], f"{other:{form}}", spreads[1], f"{middle / other:.2g}")


def seconds(call: Callable[[], object]) -> float:
    """Of one core, as `openssl speed` counts them, so that others on the machine do not matter."""
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    main()
