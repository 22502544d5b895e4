"""The service's log: our own records, as lines for people or as JSON; nobody else's, since they may quote headers."""

import logging
from typing import TextIO

import structlog
from structlog.types import Processor

OURS = "zweitblick"

_EXTRA = structlog.stdlib.ExtraAdder()


def log_to(stream: TextIO, *, log_format: str) -> None:
    """Write our records to a stream, each with the study, round, request or association that it belongs to.

    Parameters
    ----------
    stream
        Where lines go.
    log_format
        ``console`` for people, ``json`` for one JSON object a line; see `zweitblick.settings`.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(log_format))
    logging.disable(logging.NOTSET)
    logging.getLogger().addHandler(logging.NullHandler())  # or Python itself would write warnings to standard error
    ours = logging.getLogger(OURS)
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False


def _formatter(log_format: str) -> logging.Formatter:
    renderer: Processor = structlog.processors.JSONRenderer(sort_keys=True)
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, pad_level=False)
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            _EXTRA,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
    )
