"""Each file prints one table and writes one JSON file; `python -m benchmarks.NAME`."""
