"""``python -m zweitblick``."""

from zweitblick.cli import process

process()
