"""Reads and checks what users write: YAML documents and addresses."""
