"""What we sign and check: keys, canonical JSON, and signed documents (JWS)."""
