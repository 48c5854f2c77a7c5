"""The built-in ``cert-manager``: the reference, in several releases, from the toolchain's binaries."""

from __future__ import annotations

from pathlib import Path

from packaging.version import Version

from ...requirements.features import CORE, expand
from ...toolchain import find
from ..spec import Implementation, IssuerDescription, RunDescription

NAME = "cert-manager"
_APPROVER = "--approver={}"
#: Stands for the toolchain's path until the stack is there.
BINARY = "cert-manager-controller"
#: What stands in a reason where no issue of the project tells of it.
UNREPORTED = "no upstream issue is known"
#: What no release does.
_ALWAYS = {
    "VI-TOKEN-009": "an empty token is not told from others: it is first used when there is something to sign "
    "(cert-manager#7826 asks for such checks of any issuer)",
    "VI-KSTATIC-007": f"only the AppRole login looks whether the answer has a token ({UNREPORTED})",
    "VI-KSECRETLESS-016": f"only the AppRole login looks whether the answer has a token ({UNREPORTED})",
    "VI-HEALTH-019": "signing is tried three times within five seconds, then the request fails for good "
    "(cert-manager#7097 made login errors temporary, not those of signing)",
    "VI-HEALTH-021": "health is judged by its status alone, since cert-manager#3582: any page answered with 200 is a "
    "Vault",
    "VI-TLS-023": f"the length of the bundle decides whether there is one ({UNREPORTED})",
    "VI-SIGN-018": "the answer is not compared with the request's key; the Certificate controller does, later "
    "(cert-manager#8630 compares them, after 1.21)",
    "VI-SIGN-019": "the answer's notAfter is not looked at; the Certificate controller does, later (cert-manager#7741)",
    "VI-CSRAPI-015": "the answer becomes the status as it is (cert-manager#8234 mended Certificates)",
    "VI-CSRAPI-016": "the answer becomes the status as it is (cert-manager#7741 mended Certificates)",
    "VI-SPEC-007": "any path is accepted, and the answer is not compared with the request's key (cert-manager#8234; "
    "cert-manager#8630 compares them, after 1.21)",
    "VI-CLIENTCERT-010": f"Go's TLS client presents the first of several certificates: the connection's ({UNREPORTED})",
    "VI-NAMESPACE-003": "the login with a certificate is made by a client of its own, which has no namespace "
    "(cert-manager#3588 was the same for AppRole)",
    "VI-AWS-001": "logins go to /v1<mountPath>/login, so that /v1 is there twice (cert-manager#8352)",
    "VI-AWS-002": "logins go to /v1/v1/auth/aws/login (cert-manager#8352)",
}
#: What older releases do wrong: the first release that has it right, and why.
_MENDED = {
    "VI-CERTIFICATE-016": ("1.20", "a certificate for another key is stored, and replaced (cert-manager#8234, #8403)"),
    "VI-CERTIFICATE-018": ("1.21", "an expired certificate is stored and renewed at once (cert-manager#7741, #8610)"),
}


def description(version: str = "") -> Implementation:
    """Return cert-manager's description; its controller runs as in a default installation.

    :param version: 1.18 or 1.18.2, '' for the newest.
    :raises ConfigurationError: naming the releases that there are.
    """
    component = find(NAME, version)
    release = component.version.removeprefix("v")
    return Implementation(
        name=NAME,
        version=release,
        contract=release,
        component=f"{NAME}@{release}",
        organization="cert-manager",
        url="https://cert-manager.io/docs/configuration/vault/",
        contact=["https://github.com/cert-manager/cert-manager/issues"],
        issuer=IssuerDescription(),
        run=RunDescription(
            command=[
                BINARY,
                "--kubeconfig={kubeconfig}",
                "--cluster-resource-namespace={cluster_resource_namespace}",
                _APPROVER.format("false"),
                # Requests that wait for Vault's retries must not hold up those of other tests.
                "--concurrent-workers=20",
                "--feature-gates=ExperimentalCertificateSigningRequestControllers=true",
                "--v=2",
            ],
            # Where AWS's own library looks for STS and for credentials: nothing of the machine's, and nothing at AWS.
            env={
                "AWS_ENDPOINT_URL_STS": "{sts_endpoint}",
                "AWS_ACCESS_KEY_ID": "{aws_access_key_id}",
                "AWS_SECRET_ACCESS_KEY": "{aws_secret_access_key}",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            service_account="cert-manager/cert-manager",
            rbac=["cert-manager-rbac.yaml"],
            cluster_resource_namespace="cert-manager",
        ),
        features=expand(
            [
                CORE,
                "ca-bundle-secret",
                "server-name",
                "mtls",
                "client-certificate",
                "vault-namespace",
                "jwt",
                "certificate",
                "certificate-signing-request",
                "aws",
            ]
        ),
        known_failures=_ALWAYS
        | {key: reason for key, (mended, reason) in _MENDED.items() if Version(release) < Version(mended)},
        directory=Path(__file__).parent,
    )


def approving(implementation: Implementation) -> Implementation:
    """Return cert-manager's description with its approver, as it is installed; another's as it is."""
    if not implementation.component.startswith(f"{NAME}@"):
        return implementation
    off, on = _APPROVER.format("false"), _APPROVER.format("true")
    return implementation.with_run(
        command=[on if word == off else word for word in implementation.run.command], approves=True
    )
