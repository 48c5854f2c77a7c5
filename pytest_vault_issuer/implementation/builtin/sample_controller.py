"""The built-in ``sample-controller``: the small issuer in Python that comes with this package."""

from __future__ import annotations

from pathlib import Path

from ...requirements.features import CORE, expand
from ...supervisor import interpreter
from ...version import __version__
from ..spec import Implementation, IssuerDescription, RunDescription

NAME = "sample-controller"


def description() -> Implementation:
    """Return the sample controller's description; it runs on the interpreter that runs pytest."""
    return Implementation(
        name=NAME,
        version=__version__,
        issuer=IssuerDescription(),
        run=RunDescription(
            command=[
                "{python}",
                "-m",
                "pytest_vault_issuer.sample_controller",
                "--kubeconfig={kubeconfig}",
                "--cluster-resource-namespace={cluster_resource_namespace}",
                "--certificates",
            ],
            env={
                **interpreter.environment(),
                "AWS_ENDPOINT_URL_STS": "{sts_endpoint}",
                "AWS_ACCESS_KEY_ID": "{aws_access_key_id}",
                "AWS_SECRET_ACCESS_KEY": "{aws_secret_access_key}",
            },
            service_account="sample-controller/sample-controller",
            rbac=["sample-controller-rbac.yaml"],
            cluster_resource_namespace="sample-controller",
        ),
        features=expand(
            [
                CORE,
                "ca-bundle-secret",
                "server-name",
                "mtls",
                "client-certificate",
                "jwt",
                "aws",
                "vault-namespace",
                "certificate",
                "certificate-signing-request",
            ]
        ),
        directory=Path(__file__).parent,
    )
