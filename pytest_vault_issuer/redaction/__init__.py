"""Keeps secrets out of everything that a person or a report sees."""
