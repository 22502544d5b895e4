"""The int8 variant: convolutions on 8-bit integers, their ranges calibrated on training cases."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from zweitblick_training.case import Case
from zweitblick_training.export.error import ExportError
from zweitblick_training.export.onnx_file import anonymised, graph_of, halved, write_graph

QUANTISED = ("Conv",)
"""Operators on integers. ONNX Runtime runs 3-D convolutions as QLinearConv, which is nine tenths of the time; it has no
integer transposed convolution, and quantising the rest was no faster and less exact."""

Patch = NDArray[np.float32]


class _Patches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is not annotated
    """Patches in the form that ONNX Runtime's calibration takes them."""

    def __init__(self, patches: Iterable[Patch]) -> None:
        self._feeds: Iterator[dict[str, Patch]] = ({"sequences": patch} for patch in patches)

    def get_next(self) -> dict[str, Patch] | None:
        """Return the next feed; None, as the interface asks, after the last."""
        return next(self._feeds, None)


def calibration_patches(cases: Sequence[Case], *, each: int, edge: int, seed: int) -> list[Patch]:
    """Cut patches around tumour voxels, or brain voxels where there is no tumour.

    Parameters
    ----------
    cases
        Training cases.
    each
        Patches of a case.
    edge
        Voxels along a patch, a multiple of the stride.
    seed
        Of the places.

    Returns
    -------
    list of ndarray
        ``(1, 4, edge, edge, edge)`` float32 each, in the order of the cases.
    """
    rng = np.random.default_rng(seed)
    return [_patch(case, edge, rng) for case in cases for _ in range(each)]


def quantise(network: torch.nn.Module, path: Path, patches: Sequence[Patch], *, stride: int) -> None:
    """Write a network as ONNX with 8-bit convolutions between QuantizeLinear and DequantizeLinear.

    Weights have 7 bits and one scale a channel, activations 8 bits without sign: with 8-bit weights, processors that
    lack VNNI add two products in 16 bits and saturate (ONNX Runtime's guide to quantisation), and their probabilities
    would differ from those that were validated. Ranges are the smallest and the largest value seen.

    Parameters
    ----------
    network
        In evaluation mode, giving probabilities.
    path
        The file.
    patches
        From `calibration_patches`.
    stride
        Spatial sizes are multiples of this.

    Raises
    ------
    ExportError
        If there is no patch.
    """
    if not patches:
        raise ExportError("no patch to calibrate on; name training cases")
    model = onnx.shape_inference.infer_shapes(graph_of(network, channels=patches[0].shape[1], stride=stride))
    # Shapes are inferred and BatchNorm is folded: what the quantiser otherwise warns is missing.
    add_pre_process_metadata(model)
    with TemporaryDirectory() as folder:
        quantised = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            quantised,
            _Patches(patches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        write_graph(halved(anonymised(onnx.load(quantised))), path)


def _patch(case: Case, edge: int, rng: np.random.Generator) -> Patch:
    there = np.argwhere(case.labels > 0 if case.labels.any() else case.brain)
    centre = there[rng.integers(len(there))]
    starts = [max(0, min(int(at) - edge // 2, size - edge)) for at, size in zip(centre, case.brain.shape, strict=True)]
    block = tuple(slice(start, start + edge) for start in starts)
    return np.ascontiguousarray(case.images[(slice(None), *block)], np.float32)[None]
