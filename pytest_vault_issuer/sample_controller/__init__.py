"""The sample controller: a small Kubernetes controller that issues certificates from Vault.

It is an example for authors of controllers, and the second implementation that the
conformance suite judges. The folder stands alone: a copy elsewhere runs as
``python -m sample_controller``.
"""
