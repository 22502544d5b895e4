"""What can go wrong between a finished run and its bundle."""


class ExportError(RuntimeError):
    """A run cannot be released: the exported network differs from the trained one, or what it needs does not fit."""
