"""Speed on this machine, beside the best of other libraries: ``python -m benchmarks --help``."""
