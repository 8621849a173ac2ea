"""Figures: numbers that others published."""
