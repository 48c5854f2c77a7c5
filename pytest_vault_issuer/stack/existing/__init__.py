"""Provider ``existing``: a Vault and a cluster that the user names."""
