"""DICOM bytes to Study and Volumes; Reading to SEG, SR, Encapsulated PDF and secondary capture."""
