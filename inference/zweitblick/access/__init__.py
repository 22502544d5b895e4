"""Who asks, how that is known, and what they may do; nothing of HTTP or DICOM."""
