"""Dask: operations, placement, graphs and their bounded execution."""
