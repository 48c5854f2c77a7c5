"""Keeps secrets out of everything that people or reports see."""
