"""Chronika, a service in which human-rights monitors record politically motivated persecution."""

__version__ = "0.1.0"
