"""Signs a CSR with Vault."""

from __future__ import annotations

import base64

from .chain import Chain, ChainError, read_chain
from .cluster import Cluster, Object, Resource
from .conditions import condition
from .configuration import InvalidConfigurationError, Issuer, check, read_issuer
from .credentials import obtain_token
from .csr import UnfitCertificateError, UnreadableCsrError, check_fits, parameters, read_csr
from .habits import HABITS
from .logins import LOGINS
from .secret_values import CredentialError
from .tls import connection_context
from .vault import UnusableResponseError, Vault, VaultError, VaultRefusalError


class RefusedError(Exception):
    """The CSR gets no certificate, which is final; users may see the message."""


class DelayedError(Exception):
    """The CSR gets no certificate yet; users may see the message."""


def sign(
    cluster: Cluster,
    cluster_resource_namespace: str,
    resource: Resource,
    issuer: Object,
    request: str,
    duration: str | None,
) -> Chain:
    """Sign a CSR with Vault and return the certificate with its chain.

    :param request: the CSR in PEM and base64, as in a request.
    :param duration: such as ``36h``, None for the default.
    :raises RefusedError: if Vault refuses this CSR, or its response is unusable.
    :raises DelayedError: if Vault or a credential is unavailable at the moment.
    """
    described = read_issuer(resource, issuer, cluster_resource_namespace)
    pem = base64.b64decode(request)
    try:
        csr = read_csr(pem)
        check(described)
        with Vault(described, connection_context(cluster, described)) as vault:
            token = _token(cluster, described, vault)
            data = vault.sign(described.path, token, parameters(csr, pem, duration))
        chain = read_chain(data)
        check_fits(chain.certificates[0], csr)
    except (UnreadableCsrError, VaultRefusalError, UnusableResponseError, ChainError, UnfitCertificateError) as error:
        if isinstance(error, VaultRefusalError) and LOGINS.forget(described):
            raise DelayedError(str(error)) from error  # Vault may refuse the token that was kept, not the CSR
        raise RefusedError(str(error)) from error
    except (InvalidConfigurationError, CredentialError, VaultError) as error:
        raise DelayedError(str(error)) from error
    return chain


def _token(cluster: Cluster, described: Issuer, vault: Vault) -> str:
    try:
        # The documentation asks for a new service account token each time.
        if HABITS.keep_logins and not (described.auth.get("kubernetes") or {}).get("serviceAccountRef"):
            return LOGINS.token(described, lambda: obtain_token(cluster, described, vault))
        return obtain_token(cluster, described, vault)
    except VaultError as error:
        # Even a refused login is temporary: the next one may succeed, and it is not about the CSR.
        raise DelayedError(str(error)) from error


def is_ready(issuer: Object) -> bool:
    """Whether an issuer object is Ready in its present generation."""
    ready = condition(issuer, "Ready")
    if ready.get("status") != "True":
        return False
    return bool(ready.get("observedGeneration") == issuer["metadata"]["generation"])
