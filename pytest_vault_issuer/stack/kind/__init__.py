"""Provider ``kind``: Vault in a container, Kubernetes in a kind cluster."""
