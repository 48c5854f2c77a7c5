"""hvac without settings from the environment, and with the errors of this project."""

from __future__ import annotations

from typing import Any

import hvac
import hvac.adapters
import hvac.exceptions

from ..errors import StackError
from ..sessions import ApiSession
from ..timeouts import Timeouts
from .connection import VaultServer


class VaultUnreachableError(StackError):
    """Vault gave no answer: nothing listens, the connection broke, or its certificate is not trusted."""


class VaultRefusedError(StackError):
    """Vault answered with an error. The exception is also the hvac exception of its status."""


class _Adapter(hvac.adapters.JSONAdapter):  # type: ignore[misc]
    """The adapter of hvac, with the errors of this project."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request.

        :raises VaultUnreachableError: if Vault does not answer.
        :raises VaultRefusedError: if Vault answers with an error.
        """
        try:
            return super().request(*args, **kwargs)
        except OSError as error:  # of requests, or because the file of the CA certificate is gone
            raise unreachable(self.base_uri, error) from error
        except hvac.exceptions.VaultError as error:
            raise _refused(error) from error


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
    """Return the error for a Vault that does not answer."""
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
