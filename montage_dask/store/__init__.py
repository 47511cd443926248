"""The run folder: records and files by content address, written atomically."""

from montage_dask.store.artefacts import Store, key_of, write_json, writing

__all__ = ["Store", "key_of", "write_json", "writing"]
