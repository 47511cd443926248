"""`python -m montage_dask`."""

from montage_dask.cli import main

if __name__ == "__main__":
    main()
