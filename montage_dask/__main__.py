"""`python -m montage_dask`; the package itself has taken the current folder off the path."""

from montage_dask.cli import main

if __name__ == "__main__":
    main()
