"""A second read for every brain MRI: outline, measurements and structured reports."""

import os

__version__ = "0.1.0"

# From 1.29 on, ONNX Runtime reports to Microsoft what it runs, and keeps an identity and a database in the home folder,
# unless it is told so before its first import (its Privacy.md). Processes that this one starts inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
