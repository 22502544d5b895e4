"""Export: a checkpoint becomes a released bundle, data without Python."""

from zweitblick_training.export.bundle import revise, seal, set_precision, write_bundle
from zweitblick_training.export.error import ExportError
from zweitblick_training.export.int8 import calibration_patches, quantise
from zweitblick_training.export.onnx_file import IR_VERSION, OPSET, export_network, graph_of, halved, write_graph
from zweitblick_training.export.parity import PARITY, check_parity, check_parity_on_cases, golden_input
from zweitblick_training.export.precision import NETWORK_FILES, Precision, default_precision, mean_dice, undrawn
from zweitblick_training.export.served import UNCALIBRATED, Tempered, probabilities
from zweitblick_training.export.tumour import (
    add_int8,
    check_release,
    check_temperature,
    choose_precision,
    follow_precision,
    release,
    replacing,
)
from zweitblick_training.export.weights import WEIGHTS, load_weights, write_weights

__all__ = [
    "IR_VERSION",
    "NETWORK_FILES",
    "OPSET",
    "PARITY",
    "UNCALIBRATED",
    "WEIGHTS",
    "ExportError",
    "Precision",
    "Tempered",
    "add_int8",
    "calibration_patches",
    "check_parity",
    "check_parity_on_cases",
    "check_release",
    "check_temperature",
    "choose_precision",
    "default_precision",
    "export_network",
    "follow_precision",
    "golden_input",
    "graph_of",
    "halved",
    "load_weights",
    "mean_dice",
    "probabilities",
    "quantise",
    "release",
    "replacing",
    "revise",
    "seal",
    "set_precision",
    "undrawn",
    "write_bundle",
    "write_graph",
    "write_weights",
]
