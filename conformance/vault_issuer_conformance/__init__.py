"""The conformance suite for Vault-backed certificate controllers; see ``requirements/``."""
