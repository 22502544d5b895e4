"""What a researcher runs: cases, network, fit, evaluate, export."""

import zweitblick as zweitblick  # first, as it tells ONNX Runtime to report nothing
