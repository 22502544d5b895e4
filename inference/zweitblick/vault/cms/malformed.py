"""What asn1crypto raises on damaged bytes."""

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError, StopIteration)
"""Found by flipping bits; there is no common base class. It parses when a field is asked for, not before."""
