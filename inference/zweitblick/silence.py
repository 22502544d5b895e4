"""Silence: other libraries' log lines are dropped, since they name patients, senders and addresses."""

import logging


def silence(library: str) -> None:
    """Drop what a library logs, whatever levels and handlers are set to.

    Its modules each log by a name of their own below the library's; so each logger that is there gets a filter. Call it
    after the library was imported; the second time nothing happens.

    Parameters
    ----------
    library
        Name of its loggers, as in ``pynetdicom``.
    """
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == library]:
        logging.getLogger(name).addFilter(_is_dropped)


def _is_dropped(_record: logging.LogRecord) -> bool:
    return False
