"""The run folder: records and files by content address, written atomically, here or in an object store."""

from montage_dask.store import objects
from montage_dask.store.artefacts import Store, key_of, write_json, writing
from montage_dask.store.places import Place, Url, is_url, place_of

__all__ = [
    "Place",
    "Store",
    "Url",
    "is_url",
    "key_of",
    "objects",
    "place_of",
    "write_json",
    "writing",
]
