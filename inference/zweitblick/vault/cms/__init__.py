"""Secure DICOM Files (PS3.15 D.1): signed, then enveloped for recipients, with the Cryptographic Message Syntax."""
