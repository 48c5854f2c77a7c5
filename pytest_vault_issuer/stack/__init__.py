"""Where Vault and Kubernetes come from: the providers and what they hand over."""
