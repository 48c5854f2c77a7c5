"""The calls to Vault: health, login, signing. Each client verifies Vault's certificate anew."""

from __future__ import annotations

import functools
import json
import ssl
from types import TracebackType
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import urllib3

from .configuration import Issuer

#: Seconds to connect to Vault, and to wait for its response; after them, the call fails and is retried.
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 15.0
#: The most bytes of a response that are read.
LONGEST_RESPONSE = 4 * 1024 * 1024
#: Standby, disaster recovery secondary and performance standby: they serve requests or pass them on.
HEALTHY_STANDBYS = (429, 472, 473)
NOT_INITIALIZED = 501
SEALED = 503
REDIRECTS = (301, 302, 303, 307, 308)
#: Refusals that time may cure: a timeout, a replica that lags behind, a rate limit.
TEMPORARY_REFUSALS = (408, 412, 429)


class VaultError(Exception):
    """Vault did not do what it was asked; it may do it later. The message may be shown to people.

    :ivar retry_after: seconds that Vault asks to wait before the next request; 0 if it does not say.
    """

    retry_after: float = 0.0


class VaultRefusalError(VaultError):
    """Vault answered that it will not do this."""


class UnusableResponseError(VaultError):
    """Vault agreed, but its response is of no use."""


class LoginToken(str):
    """The token of a login.

    :ivar ttl: seconds that it lives; 0 if Vault does not say.
    """

    ttl: float = 0.0


class Vault:
    """The Vault of one issuer object, for a few calls in sequence; use it in a ``with`` statement.

    :param context: the TLS context, None for plain http.
    """

    def __init__(self, issuer: Issuer, context: ssl.SSLContext | None) -> None:
        self._server = issuer.server.rstrip("/")
        self._namespace = str(issuer.vault.get("namespace") or "")
        proxy = _proxy_of_environment(self._server)
        pool = functools.partial(urllib3.ProxyManager, proxy) if proxy else urllib3.PoolManager
        self._pool = pool(
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT),
            ssl_context=context,
            # The name to ask for and to verify; None is the host's.
            server_hostname=issuer.vault.get("serverName") or None,
        )
        #: ``retry_after`` of an error about the last response
        self._retry_after = 0.0

    def __enter__(self) -> Vault:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.clear()
        if isinstance(error, VaultError):
            error.retry_after = max(error.retry_after, self._retry_after)

    def check_health(self) -> None:
        """Check Vault's health.

        :raises VaultError: unless it is initialized and unsealed.
        """
        status, response = self._call("GET", "/v1/sys/health")
        if 200 <= status < 300:
            if response.get("initialized") is not True or response.get("sealed") is not False:
                raise VaultError("the health check was not answered by a ready Vault")
            return
        if status in HEALTHY_STANDBYS:
            return
        if status == NOT_INITIALIZED:
            raise VaultError("Vault is not initialized")
        if status == SEALED:
            raise VaultError("Vault is sealed")
        raise VaultError(f"the health check was answered with status {status}")

    def log_in(self, path: str, credentials: dict[str, str]) -> str:
        """Log in at a path and return Vault's token.

        :raises VaultError: if the login fails.
        """
        status, response = self._call("POST", path, body=credentials, headers=self._namespace_header())
        if status != 200:
            raise _refusal("the login", status, response)
        token = (response.get("auth") or {}).get("client_token")
        if not isinstance(token, str) or not token:
            raise UnusableResponseError("the login was answered without a token")
        result = LoginToken(token)
        result.ttl = float((response.get("auth") or {}).get("lease_duration") or 0)
        return result

    def check_permission(self, path: str, token: str) -> None:
        """Ask Vault whether a token may sign at a path.

        :raises VaultError: if it may not; no error if it may not ask.
        """
        headers = self._namespace_header() | {"X-Vault-Token": token}
        place = path.strip("/")
        status, response = self._call("POST", "/v1/sys/capabilities-self", body={"paths": [place]}, headers=headers)
        granted = (response.get("data") or {}).get(place)
        if status == 200 and granted is not None and not {"create", "update", "root"} & set(granted):
            raise VaultError("the token may not sign at the path")

    def sign(self, path: str, token: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Sign a CSR and return the data of Vault's response.

        :raises VaultRefusalError: if Vault refuses, which is final.
        :raises UnusableResponseError: if the response has no data.
        :raises VaultError: if Vault may sign it later.
        """
        headers = {"X-Vault-Token": token} | self._namespace_header()
        status, response = self._call("POST", f"/v1/{path.strip('/')}", body=parameters, headers=headers)
        if status not in (200, 204):
            raise _refusal("the signing", status, response)
        data = response.get("data")
        if not isinstance(data, dict):
            raise UnusableResponseError("the signing was answered without a certificate")
        return data

    def _namespace_header(self) -> dict[str, str]:
        """Return the header with the namespace of Vault Enterprise, if there is one; health checks have none."""
        if not self._namespace:
            return {}
        return {"X-Vault-Namespace": self._namespace}

    def _call(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send a request, follow one redirect, and return the status and the JSON object of the response or {}."""
        url = self._server + quote(path)
        headers = {"X-Vault-Request": "true"} | (headers or {})
        if body is not None:
            headers["Content-Type"] = "application/json"
        content = json.dumps(body) if body is not None else None
        status, location, response = self._request(method, url, headers, content)
        if status in REDIRECTS and location:
            url = urljoin(url, location)
            self._check_redirect(url)
            status, _, response = self._request(method, url, headers, content)
        return status, response

    def _check_redirect(self, url: str) -> None:
        if urlsplit(self._server).scheme == "https" and urlsplit(url).scheme != "https":
            raise VaultError("Vault's response redirects from https to another protocol")

    def _request(
        self, method: str, url: str, headers: dict[str, str], content: str | None
    ) -> tuple[int, str, dict[str, Any]]:
        try:
            response = self._pool.request(
                method, url, body=content, headers=headers, redirect=False, preload_content=False
            )
            text = response.read(LONGEST_RESPONSE)
            response.close()
            self._retry_after = _seconds(response.headers.get("Retry-After", ""))
        except urllib3.exceptions.HTTPError as error:
            raise VaultError(f"Vault cannot be reached: {_reason(error)}") from error
        return response.status, response.headers.get("Location", ""), _json_object(text)


def _proxy_of_environment(server: str) -> str:
    """Return the proxy that HTTPS_PROXY or HTTP_PROXY names for a server, '' if none does or NO_PROXY excludes it."""
    parts = urlsplit(server)
    if proxy_bypass(parts.hostname or ""):
        return ""
    return getproxies_environment().get(parts.scheme, "")


def _json_object(text: bytes) -> dict[str, Any]:
    """Return the JSON object of a response, {} if it is not one."""
    try:
        response = json.loads(text)
    except ValueError:
        return {}
    return response if isinstance(response, dict) else {}


def _seconds(text: str) -> float:
    """Return the seconds in a header Retry-After, 0 for none and for a date, which Vault does not send."""
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _refusal(what: str, status: int, response: dict[str, Any]) -> VaultError:
    """Return the error for a response; it repeats only Vault's own errors."""
    errors = response.get("errors")
    if not isinstance(errors, list):
        return VaultError(f"{what} was answered with status {status}, not by Vault")
    text = "; ".join(str(error).strip() for error in errors)
    message = f"{what} was answered with status {status}: {text}"
    if 400 <= status < 500 and status not in TEMPORARY_REFUSALS:
        return VaultRefusalError(message)
    return VaultError(message)


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    """Return why there is no response, in constant words, so that a condition does not change each time."""
    if isinstance(error, urllib3.exceptions.SSLError):
        cause = error.args[0] if error.args else None
        return f"TLS failed: {getattr(cause, 'verify_message', '') or 'no handshake'}"
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "its host name is unknown"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "it does not answer in time"
    return "the connection fails"
