"""The sample controller: a small issuer of certificates that are signed by Vault, for Kubernetes.

It is an example for authors of issuers, and the second implementation that the
conformance suite judges. The folder stands alone: copied elsewhere, it runs as
``python -m sample_controller``.
"""
