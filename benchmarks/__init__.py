"""What this service measures of itself: `python -m benchmarks NAME` prints a table."""
