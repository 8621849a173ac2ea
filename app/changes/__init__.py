"""The change feed: what happened since, a snapshot to begin with, digests to compare, and writing in bulk."""
