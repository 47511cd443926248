"""The version of the package, and nothing else: the build reads it, and so does whoever needs no more than that."""

__version__ = "0.2.0"
