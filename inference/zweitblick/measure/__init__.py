"""Prediction to Findings: lesions, diameters, places."""

from zweitblick.measure.lesions import measure

__all__ = ["measure"]
