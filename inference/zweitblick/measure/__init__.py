"""Prediction to Findings: lesions, diameters, places."""
