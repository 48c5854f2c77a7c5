"""Collects, judges and reports the tests of the suite."""
