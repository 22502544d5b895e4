"""A second read for every brain MRI: outline, measurements and structured reports."""

__version__ = "0.1.0"
