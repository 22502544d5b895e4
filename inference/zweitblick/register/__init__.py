"""Aligning two volumes of one head, with a check of what came out."""
