"""Reading to the documents people and programs read: JSON and PDF."""
