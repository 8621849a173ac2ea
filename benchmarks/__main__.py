"""Runs one benchmark by name: `python -m benchmarks names [options]`."""

import importlib
import sys

if __name__ == "__main__":
    if len(sys.argv) < 2:  # noqa: PLR2004 -- the program and the benchmark's name
        sys.exit("usage: python -m benchmarks NAME [options]; there are: names")
    importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])
