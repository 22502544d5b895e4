"""Bytes to bytes that only the hospital opens: sealed objects, data keys, key holders."""
