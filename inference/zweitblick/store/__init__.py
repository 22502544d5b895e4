"""What the service keeps: always sealed, found by keyed hashes, durable before anybody is told so."""
