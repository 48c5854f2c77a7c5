"""Connections to the APIs of Kubernetes and Vault that are kept open, and calls that cost little CPU time."""

from __future__ import annotations

import json
import re
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict
from urllib3.util.ssl_ import create_urllib3_context

#: URLs that no encoding changes.
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9._~:\[\]-]+/[A-Za-z0-9._~:/%-]*")
#: Arguments of a call that are sent without preparation by requests.
_KNOWN = {"params", "data", "json", "headers", "stream", "timeout", "verify", "cert", "allow_redirects"}

#: Statuses of redirects after which a client repeats the request with its method and body.
_SAME_METHOD = (307, 308)


class ApiAdapter(requests.adapters.HTTPAdapter):
    """Finds the connections of a server by its address; requests computes and compares a key of 30 settings."""

    def __init__(self, **options: Any) -> None:
        self._pools: dict[tuple[str, Any, Any], Any] = {}
        super().__init__(**options)

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the connections to the server of a request; see :class:`requests.adapters.HTTPAdapter`."""
        if proxies:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        key = ("/".join(str(request.url).split("/", 3)[:3]), verify, cert)
        if key not in self._pools:
            pool: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
            if pool.scheme == "https" and isinstance(verify, str) and Path(verify).is_file() and not cert:
                # urllib3 would read and parse the certificates anew for each connection, such as that of each watch.
                pool.conn_kw["ssl_context"] = _context(verify)
            self._pools[key] = pool
        return self._pools[key]

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Check the files of certificates; see :class:`requests.adapters.HTTPAdapter`."""
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call, unused-ignore]
        if "ssl_context" in conn.conn_kw:
            conn.ca_certs = None  # the context has them

    def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        super().close()


def _context(ca_file: str) -> ssl.SSLContext:
    """Return the context that urllib3 makes for a connection, with the certificates of a file.

    :raises OSError: if the file contains no certificate.
    """
    context = create_urllib3_context()
    context.load_verify_locations(ca_file)
    return context


class ApiSession(requests.Session):
    """A session without the environment's settings, for many small calls.

    A run of the core profile makes about 15,000 calls. Half of the CPU time of each is the merging and the encoding of
    settings that these calls do not use. This session sends such a call directly with the adapter, which keeps the
    connections, checks certificates, and raises the errors of requests. Any other call takes the usual way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.mount("https://", ApiAdapter())
        self.mount("http://", ApiAdapter())

    def request(self, method: str, url: str, *positional: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request; see :meth:`requests.Session.request`."""
        if (
            positional
            or options.keys() - _KNOWN
            or self.auth
            or self.params
            or len(self.cookies)
            or not isinstance(options.get("data") or "", (str, bytes))
            or (options.get("data") and options.get("json") is not None)
            or not _PLAIN_URL.fullmatch(url)
        ):
            return super().request(method, url, *positional, **options)
        given: Any = options.get("verify")
        verify: Any = self.verify if given is None else given
        stream = bool(options.get("stream"))
        response = self.get_adapter(url).send(
            self._prepared(method, url, options),
            stream=stream,
            timeout=options.get("timeout"),
            verify=verify,
            cert=options.get("cert") or self.cert,
            proxies=self.proxies,
        )
        if response.is_redirect and options.get("allow_redirects", True):
            response.close()
            return super().request(method, url, **options)
        if not stream:
            _ = response.content  # so that the connection is free for the next call
        return response

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return the URL that a response redirects to; None if it does not redirect.

        requests would send the same headers there, with Vault's token. It would also repeat a DELETE as a GET, whose
        response then looks like that of the DELETE. A standby of Vault redirects with 307:
        https://developer.hashicorp.com/vault/docs/concepts/ha

        :raises requests.exceptions.InvalidURL: if the redirect changes the method, or leads from https to http.
        """
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        to = urlsplit(urljoin(resp.url, target))
        if resp.status_code not in _SAME_METHOD:
            raise requests.exceptions.InvalidURL(f"it redirects with {resp.status_code} to {to.scheme}://{to.netloc}")
        if urlsplit(resp.url).scheme == "https" and to.scheme != "https":
            raise requests.exceptions.InvalidURL(f"it redirects from https to {to.scheme}://{to.netloc}")
        return target

    def _prepared(self, method: str, url: str, options: dict[str, Any]) -> requests.PreparedRequest:
        """Return the request as requests prepares it."""
        query = {name: value for name, value in (options.get("params") or {}).items() if value is not None}
        prepared = requests.PreparedRequest()
        prepared.method = method.upper()
        prepared.url = f"{url}?{urlencode(query, doseq=True)}" if query else url
        prepared.hooks = default_hooks()
        given = {name: value for name, value in (options.get("headers") or {}).items() if value is not None}
        prepared.headers = CaseInsensitiveDict({**self.headers, **given})
        body: Any = options.get("data") or None
        if options.get("json") is not None:
            body = json.dumps(options["json"], allow_nan=False)
            prepared.headers.setdefault("Content-Type", "application/json")
        if body is not None:
            prepared.body = body.encode() if isinstance(body, str) else body
            prepared.headers["Content-Length"] = str(len(prepared.body))
        elif prepared.method not in ("GET", "HEAD"):
            prepared.headers["Content-Length"] = "0"
        return prepared
