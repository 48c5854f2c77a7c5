"""A Vault server, and hvac without settings from the environment and with the errors of this project."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hvac
import hvac.adapters
import hvac.exceptions
import requests

from ..errors import StackError
from ..sessions import ApiSession
from ..timeouts import Timeouts


@dataclass(frozen=True)
class VaultServer:
    """One Vault that listens.

    :ivar url: without a trailing slash.
    :ivar ca_file: path of the CA certificates to trust (PEM); '' for the system trust store.
    :ivar token: a token that may configure it ('' while not initialized).
    :ivar unseal_key: the only key share, if this project initialized it.
    :ivar name: the name of the process or container, '' for an existing Vault.
    :ivar internal_url: the URL for the other nodes of its cluster; '' if it is `url`.
    """

    url: str
    ca_file: str = ""
    token: str = field(default="", repr=False)
    unseal_key: str = field(default="", repr=False)
    name: str = ""
    internal_url: str = ""

    @property
    def ca_pem(self) -> str:
        """The certificates in :attr:`ca_file`."""
        return Path(self.ca_file).read_text() if self.ca_file else ""


_NO_CONTENT = 204
#: Beginnings of the content types of PKI endpoints that do not answer with JSON.
_CERTIFICATES = ("application/pkix-", "application/pem-", "application/x-pem-", "application/ocsp-")

_IN_FRONT = "check the address: a proxy or a login page may answer in front of Vault"


class VaultUnreachableError(StackError):
    """Vault sent no response: nothing listens, the connection broke, or its certificate is not trusted."""


class VaultRefusedError(StackError):
    """Vault answered with an error. The exception is also the hvac exception of its status."""


class NotVaultError(StackError):
    """A proxy or a login page answered in front of Vault, which may not have got the request."""


class _Adapter(hvac.adapters.JSONAdapter):  # type: ignore[misc]
    """The adapter of hvac, with the errors of this project."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request.

        :raises VaultUnreachableError: if Vault does not respond.
        :raises VaultRefusedError: if Vault answers with an error.
        :raises NotVaultError: if the response is not Vault's: a cleanup must not take it for a success, or for the 404
            of something that is gone.
        """
        try:
            response = super().request(*args, **kwargs)
        except OSError as error:  # of requests, or because the file of the CA certificate is gone
            raise unreachable(self.base_uri, error) from error
        except hvac.exceptions.InvalidPath as error:
            if error.json is None:
                raise _not_vault(self.base_uri, 404, error.text) from error
            raise _refused(error) from error
        except hvac.exceptions.VaultError as error:
            raise _refused(error) from error
        except AttributeError as error:  # hvac expects an object in the response to a refused request
            raise NotVaultError(f"the response of {self.base_uri} is not Vault's: {error}", hint=_IN_FRONT) from error
        if isinstance(response, requests.Response) and response.ok and not _may_be_vaults(response):
            raise _not_vault(self.base_uri, response.status_code, response.text)
        return response


def _may_be_vaults(response: requests.Response) -> bool:
    """Whether Vault may have sent a successful response that hvac does not return as JSON: 204, or certificates."""
    return response.status_code == _NO_CONTENT or response.headers.get("Content-Type", "").startswith(_CERTIFICATES)


def _not_vault(url: str, status: int, text: str | None) -> NotVaultError:
    return NotVaultError(
        f"the response of {url} is not Vault's: {status} {(text or '')[:100]!r}",
        hint=_IN_FRONT,
    )


def client(server: VaultServer, timeouts: Timeouts, namespace: str = "") -> hvac.Client:
    """Return an hvac client of a server that ignores the environment.

    The settings of hvac (``VAULT_ADDR``, ``VAULT_TOKEN``, ``VAULT_CLIENT_CERT`` and others, ``~/.vault-token``) and of
    requests (proxies, ``REQUESTS_CA_BUNDLE``, ``.netrc``) may belong to another Vault than the session's.

    :param namespace: the namespace of all requests; '' for the root namespace.
    """
    session = ApiSession()
    verify: Any = server.ca_file or True
    session.verify = verify
    return hvac.Client(
        url=server.url,
        token=server.token,
        cert=(),  # with None, hvac reads the environment
        verify=verify,
        timeout=timeouts.api,
        namespace=namespace or None,
        session=session,
        strict_http=True,
        adapter=_Adapter,
    )


def unreachable(url: str, error: OSError) -> VaultUnreachableError:
    """Return the error for a Vault that does not response."""
    return VaultUnreachableError(
        f"the Vault at {url} cannot be reached: {error}", hint="check that it runs, its address, and its CA certificate"
    )


def _refused(error: hvac.exceptions.VaultError) -> VaultRefusedError:
    refused = _refused_as(type(error))(str(error), hint="check what the token may do in this Vault")
    for name in ("errors", "method", "url", "text", "json"):
        setattr(refused, name, getattr(error, name))
    return refused


def _refused_as(kind: Any) -> type[VaultRefusedError]:
    """Return the class of errors that are both a rejection by Vault and hvac's error for it."""
    return type(f"Vault{kind.__name__}", (VaultRefusedError, kind), {})
