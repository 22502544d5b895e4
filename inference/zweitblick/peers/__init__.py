"""Peers: we as the client of others, to whom results go by C-STORE or STOW-RS."""
