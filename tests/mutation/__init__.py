"""Judges the suite: it runs on wrong and on right builds of the sample controller."""
