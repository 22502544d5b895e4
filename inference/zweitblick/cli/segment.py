"""``zweitblick segment``: NIfTI images of one head in, a label map on the first one's grid out."""

import argparse
import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from rich.console import Console

from zweitblick import pipeline
from zweitblick.cli.models import add_model_options, named_bundles
from zweitblick.cli.output import check_file, write_files
from zweitblick.cli.stages import Stages
from zweitblick.errors import OutputError
from zweitblick.model.scope import signature_notices
from zweitblick.model.sequence_network import Opinion, likelier_names, opinion_of
from zweitblick.prediction import REGIONS, Prediction
from zweitblick.reading import POPULATION, RESEARCH_USE
from zweitblick.study import Sequence
from zweitblick.volume import Volume, nifti_like

SUFFIXES = (".nii", ".nii.gz")
DESCRIPTION = (
    "Outline a glioma on NIfTI images of one head: any of the four with T1c or FLAIR among them, each on its own grid. "
    "The result lies on the grid of the image given first."
)


class _Image(argparse.Action):
    """Keeps the images in the order of the command line."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *rest: Any) -> None:
        path, option = rest
        sequence = Sequence[self.dest.upper()]
        if sequence in namespace.images:
            parser.error(f"{option} is given twice")
        namespace.images = {**namespace.images, sequence: path}


def add_to(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add this command to argparse's sub-commands."""
    command = commands.add_parser(
        "segment",
        parents=[shared],
        allow_abbrev=False,
        help="outline a tumour on NIfTI images",
        description=DESCRIPTION,
    )
    for sequence in Sequence:
        command.add_argument(f"--{sequence.lower()}", action=_Image, type=Path, metavar="F", help=f"{sequence} image")
    command.add_argument(
        *("-o", "--out"),
        required=True,
        type=Path,
        metavar="OUT.nii.gz",
        help="labels: 1 necrotic or non-enhancing core, 2 oedema, 3 enhancing tumour",
    )
    command.add_argument(
        "--probabilities", type=Path, metavar="OUT.nii.gz", help="also the probabilities of ET, TC and WT (4-D)"
    )
    command.add_argument("--overwrite", action="store_true", help="replace existing results")
    add_model_options(command)
    command.add_argument("--timings", action="store_true", help="print how long each stage took")
    command.set_defaults(run=run, images={}, usage_error=command.error)


def run(arguments: argparse.Namespace) -> None:
    """Segment the images and write the label map, or raise and write nothing.

    Raises
    ------
    ZweitblickError
        See `zweitblick.errors`.
    """
    if not arguments.images:
        arguments.usage_error("give at least one of --t1c and --flair")
    outs = [out for out in (arguments.out, arguments.probabilities) if out is not None]
    _check_outs(outs, arguments)
    console = Console(stderr=True)
    stages = Stages(console)
    with stages.shown():
        prediction = _prediction(arguments, stages, console)
        like = next(iter(arguments.images.values()))
        files = {arguments.out: _packed(nifti_like(like, prediction.labels()), arguments.out)}
        if arguments.probabilities is not None:
            probabilities = nifti_like(like, prediction.probabilities)
            files[arguments.probabilities] = _packed(probabilities, arguments.probabilities)
    write_files(files, overwrite=arguments.overwrite)
    _report(prediction, outs)
    if arguments.timings:
        console.print(stages.table())


def _check_outs(outs: list[Path], arguments: argparse.Namespace) -> None:
    taken = [path.resolve() for path in arguments.images.values()]
    for out in outs:
        if not out.name.endswith(SUFFIXES):
            raise OutputError(f"{out} must end in .nii or .nii.gz")
        if out.resolve() in taken:
            raise OutputError(f"{out} is named twice; choose another name")
        taken.append(out.resolve())
        check_file(out, overwrite=arguments.overwrite)


def _prediction(arguments: argparse.Namespace, stages: Stages, console: Console) -> Prediction:
    """On the grid of the first image given; images that look like others than they were given as are warned of."""
    with stages("images"):
        volumes = {sequence: Volume.from_nifti(path) for sequence, path in arguments.images.items()}
    with stages("bundles"):
        bundles = named_bundles(arguments)
        for notice in signature_notices(bundles):
            console.print(f"warning: {notice.text}", soft_wrap=True, markup=False, highlight=False)
    with stages("names"):
        opinions = {sequence: opinion_of(volume, bundles.sequence.network) for sequence, volume in volumes.items()}
        _warn_of_wrong_names(arguments.images, opinions, console)
    prediction = pipeline.segment(volumes, bundles, observer=stages)
    with stages("resample"):
        return prediction.resampled(next(iter(volumes.values())).grid)


def _warn_of_wrong_names(
    images: Mapping[Sequence, Path], opinions: Mapping[Sequence, Opinion], console: Console
) -> None:
    """Say which image looks like another than it was given as; the user's word is taken all the same."""
    for given, likelier in likelier_names(opinions).items():
        text = f"warning: {images[given]} was given as {given} but looks like {likelier}; check which image is which"
        console.print(text, soft_wrap=True, markup=False, highlight=False)


def _packed(image: nib.Nifti1Image, out: Path) -> bytes:
    """File content; without a time in the gzip header, so that equal results are equal files."""
    content: bytes = image.to_bytes()
    return gzip.compress(content, mtime=0) if out.name.endswith(".gz") else content


def _report(prediction: Prediction, outs: list[Path]) -> None:
    console = Console(markup=False, highlight=False)
    volumes = [
        f"{region} {np.count_nonzero(prediction.mask(region)) * prediction.grid.voxel_ml:.1f} ml"
        for region in reversed(REGIONS)
    ]
    console.print(", ".join(volumes))
    for out in outs:
        console.print(str(out), soft_wrap=True)
    console.print(f"Population: {POPULATION}. {RESEARCH_USE}")
