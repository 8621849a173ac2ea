"""Persons, and the part of them that is protected."""
