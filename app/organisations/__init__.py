"""Organisations: courts, prisons, agencies, NGOs, media, lists."""
