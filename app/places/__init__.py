"""Places, each within another."""
