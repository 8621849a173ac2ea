"""The sample: five public reports taken apart into records, and how they are loaded into an empty registry."""
