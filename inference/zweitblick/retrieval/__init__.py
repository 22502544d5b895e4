"""Studies that are fetched from elsewhere: the last earlier one of a patient, before a study is read."""
