"""Delivery: results go to the destinations that are meant for them."""
