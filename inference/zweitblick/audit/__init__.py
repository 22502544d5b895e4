"""Who did what with whose data: DICOM audit messages, sealed on a signed chain, and sent on by syslog."""
