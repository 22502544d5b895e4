"""Options of ``zweitblick read`` that name earlier readings, and what they name."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from zweitblick.cli.output import MARK, SEGMENTATION
from zweitblick.dicom.read import read_study
from zweitblick.dicom.source import opened
from zweitblick.earlier import prior_from, timepoint_from
from zweitblick.errors import SourceMissingError
from zweitblick.prior import Prior, Role, Timepoint


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    group = command.add_argument_group("follow-up", "Report what has changed since an earlier reading of this patient.")
    group.add_argument("--prior", type=Path, metavar="DIR", help="results of the last reading before this one")
    group.add_argument(
        "--prior-study",
        type=Path,
        metavar="STUDY",
        help="its images, to match lesions: folder or zip archive",
    )
    group.add_argument(
        "--baseline",
        type=Path,
        metavar="DIR",
        help="results of the reading that response to a treatment is measured from: proposes RANO's imaging part",
    )
    group.add_argument(
        "--since",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="results of a further reading since the baseline, for the nadir; may be given several times",
    )
    command.set_defaults(usage_error=command.error)


@contextmanager
def opened_prior(arguments: argparse.Namespace) -> Iterator[Prior | None]:
    """Yield the earlier reading that the options name; its images can be read while the context lasts.

    Raises
    ------
    SourceError, StudyError, PriorError
        If what they name is not there, or cannot be used together.
    """
    _check_usage(arguments)
    if arguments.prior is None:
        yield None
    elif arguments.prior_study is None:
        yield _with_course(prior_from(*_results(arguments.prior)), arguments)
    else:
        with opened(arguments.prior_study) as paths:
            yield _with_course(prior_from(*_results(arguments.prior), read_study(paths)), arguments)


def _check_usage(arguments: argparse.Namespace) -> None:
    if arguments.prior is None and (arguments.prior_study or arguments.baseline or arguments.since):
        arguments.usage_error("--prior-study, --baseline and --since need --prior")
    if arguments.since and arguments.baseline is None:
        arguments.usage_error("--since needs --baseline")


def _with_course(prior: Prior, arguments: argparse.Namespace) -> Prior:
    if arguments.baseline is None:
        return prior
    baseline = timepoint_from(*_results(arguments.baseline), Role.BASELINE)
    since: list[Timepoint] = [timepoint_from(*_results(folder), Role.FOLLOW_UP) for folder in arguments.since]
    others = (each for each in since if each.study_uid != baseline.study_uid)
    return replace(prior, course=(*others, baseline))


def _results(folder: Path) -> tuple[bytes, bytes]:
    """Segmentation and findings of a folder that ``zweitblick read`` has written."""
    contents = []
    for name in (SEGMENTATION, MARK):
        try:
            contents.append((folder / name).read_bytes())
        except OSError as error:
            raise SourceMissingError(
                f"{folder / name} cannot be read ({error.strerror}); give the folder that zweitblick read has written"
            ) from error
    segmentation, findings = contents
    return segmentation, findings
