"""A recording, fault-injecting reverse proxy that stands between an implementation and the real Vault."""
