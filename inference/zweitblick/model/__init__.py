"""Volumes to Prediction: sequence choice, brain mask, preparation, bundles, runtime."""
