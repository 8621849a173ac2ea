"""Exchange: other people's data in by mapping, everything out by stream, and the whole registry into one file."""
