"""What a researcher runs: cases, network, fit, evaluate, export."""
