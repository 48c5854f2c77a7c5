"""Collects and judges the tests of the suite, and reports their results."""
