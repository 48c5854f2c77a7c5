"""Tests the suite: it judges wrong and correct builds of the sample controller."""
