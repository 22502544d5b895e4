"""What is kept, by the headers of its instances: listed, and searched by exact values."""
