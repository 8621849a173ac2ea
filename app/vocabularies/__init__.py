"""Vocabularies: code lists as data."""
