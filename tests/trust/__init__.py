"""Proves that the suite tells right issuers from wrong ones: the miniature, with one mistake at a time."""
