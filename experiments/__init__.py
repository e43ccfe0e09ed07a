"""One file per figure or table; `python -m experiments.NAME`."""
