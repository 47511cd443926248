"""Benchmarks: `python -m benchmarks list`. Each prints a markdown table; docs/benchmarks.md says what they mean."""
