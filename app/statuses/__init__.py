"""Statuses: intervals of custody, recognition, listing."""
