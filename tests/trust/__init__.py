"""Proves that the suite tells right issuers from wrong ones: the sample controller, with one mistake at a time."""
