"""Pure decisions: from shots and music to a timeline. No I/O, no Dask."""
