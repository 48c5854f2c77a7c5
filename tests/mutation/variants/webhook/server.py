"""An admission webhook for the sample controller: it rejects what the controller would report as misconfigured."""

from __future__ import annotations

import argparse
import base64
import binascii
import http.server
import json
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509

from pytest_vault_issuer.sample_controller.configuration import InvalidConfigurationError, Issuer, check, vault_of


def problem_of(item: dict[str, Any]) -> str:
    """Return what is wrong with an issuer object, with the path of the field; '' if it is valid."""
    vault = vault_of(item)
    if vault is None:
        return ""
    metadata = item["metadata"]
    namespace = metadata.get("namespace") or ""
    try:
        check(Issuer(namespace, metadata.get("name") or "", namespace, vault))
        _check_bundle(vault)
    except InvalidConfigurationError as error:
        return f"spec.vault.{error}"
    return ""


def _check_bundle(vault: dict[str, Any]) -> None:
    """Reject two sources of CAs, and a bundle without a certificate."""
    inline = vault.get("caBundle")
    if inline and vault.get("caBundleSecretRef"):
        raise InvalidConfigurationError("caBundle and caBundleSecretRef must not be set together")
    if inline:
        try:
            x509.load_pem_x509_certificates(base64.b64decode(inline))
        except (binascii.Error, ValueError) as error:
            raise InvalidConfigurationError("caBundle contains no certificate") from error


class Webhook(http.server.BaseHTTPRequestHandler):
    """Answers AdmissionReviews."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        """Answer one AdmissionReview."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        problem = problem_of(request["object"])
        response: dict[str, Any] = {"uid": request["uid"], "allowed": not problem}
        if problem:
            response["status"] = {"code": 422, "reason": "Invalid", "message": problem}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing, because the objects may contain secrets."""


class Server(http.server.ThreadingHTTPServer):
    """A server with TLS in which a slow handshake does not delay other connections."""

    daemon_threads = True

    def __init__(self, port: int, certificates: Path) -> None:
        super().__init__(("127.0.0.1", port), Webhook)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "tls.crt", certificates / "tls.key")
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cert-dir", type=Path, required=True)
    options = parser.parse_args()
    Server(options.port, options.cert_dir).serve_forever()


if __name__ == "__main__":
    main()
