"""Sources: documents that support records."""
