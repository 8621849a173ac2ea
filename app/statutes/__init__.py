"""Statutes: places in a law. The example to copy for a new resource."""
