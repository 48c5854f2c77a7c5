"""The conformance suite for Vault-backed certificate issuers; see ``requirements/``."""
