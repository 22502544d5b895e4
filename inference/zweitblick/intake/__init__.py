"""Instances that come over HTTP, in whichever direction: files, and the multipart bodies that hold them."""
