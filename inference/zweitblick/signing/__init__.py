"""What we sign and check: keys of Ed25519, canonical JSON, and signed documents (JWS)."""
