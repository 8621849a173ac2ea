"""Cases: proceedings, with their charges and sentences."""
