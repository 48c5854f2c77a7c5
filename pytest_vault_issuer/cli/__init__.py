"""The commands of ``vault-issuer``, one module each."""
