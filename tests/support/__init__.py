"""Code that tests share, imported as ``tests.support.NAME``."""
