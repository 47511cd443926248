"""Makes `makers` (beside this file) importable from the tests of every room."""
