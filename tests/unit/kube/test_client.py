"""How the Kubernetes client handles answers that a real API server rarely gives."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.errors import StackError
from pytest_vault_issuer.kube.cleanup import remove_labeled
from pytest_vault_issuer.kube.client import CRDS, NAMESPACES, SECRETS, ApiError, Cluster
from pytest_vault_issuer.proxy.tls import load_certificate
from pytest_vault_issuer.timeouts import Timeouts
from tests.unit.conftest import LIMIT

NONE: Mapping[str, str] = {}
PAGE = b"<html>sign in</html>"
HTML = {"Content-Type": "text/html; charset=utf-8"}


def kubeconfig(tmp_path: Path, server: str, **more: str) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "a", "cluster": {"server": server, **more}}],
                "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                "users": [{"name": "a", "user": {}}],
                "current-context": "a",
            }
        )
    )
    return path


class Server(ThreadingHTTPServer):
    """Answers with these statuses and repeats the last one; `calls` contains the requested paths."""

    daemon_threads = True

    def __init__(
        self, *statuses: int, retry_after: str | None = "0", body: bytes = b"{}", headers: Mapping[str, str] = NONE
    ) -> None:
        self.calls: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            server: Server

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                calls = self.server.calls
                self.send_response(statuses[min(len(calls), len(statuses) - 1)])
                calls.append(self.path)
                if retry_after is not None:
                    self.send_header("Retry-After", retry_after)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.do_POST()

            def do_DELETE(self) -> None:
                self.do_POST()

            def log_message(self, *arguments: object) -> None:
                """Print nothing."""

        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing about a client that does not trust the server."""

    @contextmanager
    def serves(self) -> Iterator[Server]:
        with self:
            threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
            yield self
            self.shutdown()


@contextmanager
def answering(
    tmp_path: Path,
    *statuses: int,
    retry_after: str | None = "0",
    body: bytes = b"{}",
    headers: Mapping[str, str] = NONE,
) -> Iterator[tuple[Cluster, list[str]]]:
    """Return a client whose calls get these statuses and then the last one repeatedly, and the list of its calls."""
    with Server(*statuses, retry_after=retry_after, body=body, headers=headers).serves() as server:
        cluster = Cluster(kubeconfig(tmp_path, f"http://127.0.0.1:{server.server_port}"))
        yield cluster, server.calls
        cluster.close()


def test_call_that_came_too_early_is_repeated(tmp_path: Path) -> None:
    with answering(tmp_path, 429, 429, 201) as (cluster, calls):
        cluster.create(NAMESPACES, {"metadata": {"name": "a"}})
    assert len(calls) == 3


def test_call_that_never_ends_times_out(tmp_path: Path) -> None:
    with answering(tmp_path, 429) as (cluster, _), pytest.raises(ApiError) as raised:
        cluster.create(NAMESPACES, {"metadata": {"name": "a"}})
    assert raised.value.code == 429


def test_other_refusals_are_final(tmp_path: Path) -> None:
    with answering(tmp_path, 503, 201) as (cluster, calls), pytest.raises(ApiError) as raised:
        cluster.create(NAMESPACES, {"metadata": {"name": "a"}})
    assert raised.value.code == 503
    assert len(calls) == 1


@pytest.mark.parametrize(
    "retry_after", ["3600", "1e9", "inf", "nan, not a number", "Sat, 28 Nov 2099 12:00:00 GMT", None]
)
def test_call_is_delayed_at_most_until_its_timeout(tmp_path: Path, retry_after: str | None) -> None:
    """The call fails at once; otherwise it would wait ten times for an hour."""
    raised: list[ApiError] = []

    def create(cluster: Cluster) -> None:
        try:
            cluster.create(NAMESPACES, {"metadata": {"name": "a"}})
        except ApiError as error:
            raised.append(error)

    with answering(tmp_path, 429, 201, retry_after=retry_after) as (cluster, calls):
        call = threading.Thread(target=create, args=(cluster,), daemon=True)
        call.start()
        call.join(LIMIT)
        assert not call.is_alive(), "the call is put off"
    assert [error.code for error in raised] == [429]
    assert raised[0].hint
    assert len(calls) == 1


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"[]", b'"text"', b"null", b"\xff", b""])
@pytest.mark.parametrize("status", [200, 403])
def test_server_other_than_the_api_is_reported(tmp_path: Path, status: int, body: bytes) -> None:
    with answering(tmp_path, status, body=body) as (cluster, _), pytest.raises(StackError) as raised:
        _ = cluster.version
    assert "/version" in raised.value.message


def test_the_api_without_a_version_is_not_the_api(tmp_path: Path) -> None:
    with answering(tmp_path, 200) as (cluster, _), pytest.raises(StackError, match="as a Kubernetes API does"):
        _ = cluster.version


@pytest.mark.parametrize("status", [200, 202, 403, 404, 405, 503])
def test_page_of_a_proxy_is_no_deletion(tmp_path: Path, status: int) -> None:
    """A 404 would mean that the object is gone."""
    with answering(tmp_path, status, body=PAGE, headers=HTML) as (cluster, _):
        with pytest.raises(StackError, match="as a Kubernetes API does"):
            cluster.delete(NAMESPACES, "a")
        with pytest.raises(StackError, match="as a Kubernetes API does"):
            cluster.find(NAMESPACES, "a")
        left = remove_labeled(cluster, "a=b", Timeouts(deletion=0.1), types=[NAMESPACES, CRDS, SECRETS])
    assert [leftover.what for leftover in left] == ["any namespaces labeled a=b", "any secrets labeled a=b"]


@pytest.mark.parametrize("body", [b"{}", b'{"items": {}}', b'{"items": ["a"]}', b'{"items": 1, "metadata": null}'])
def test_response_without_a_list_is_not_the_apis(tmp_path: Path, body: bytes) -> None:
    with answering(tmp_path, 200, body=body) as (cluster, _):
        with pytest.raises(StackError, match="as a Kubernetes API does"):
            cluster.list(NAMESPACES)
        left = remove_labeled(cluster, "a=b", Timeouts(deletion=0.1))
    assert [leftover.what for leftover in left] == ["everything labeled a=b in the cluster"]


def test_list_without_entries_is_empty(tmp_path: Path) -> None:
    """Servers of extensions that are written in Go answer with null."""
    with answering(tmp_path, 200, body=b'{"items": null, "groups": null, "resources": null}') as (cluster, _):
        assert cluster.list(NAMESPACES) == []
        assert remove_labeled(cluster, "a=b", Timeouts(deletion=0.1)) == []


@pytest.mark.parametrize("status", [301, 302, 303])
def test_redirect_to_a_login_page_is_no_response_of_the_api(tmp_path: Path, status: int) -> None:
    """A client that follows it repeats a DELETE as a GET."""
    with Server(200).serves() as page:
        to = {"Location": f"http://127.0.0.1:{page.server_port}/login"}
        with answering(tmp_path, status, headers=to) as (cluster, calls):
            with pytest.raises(StackError, match=f"redirects with {status} to http://127"):
                cluster.delete(NAMESPACES, "a")
            assert len(calls) <= 2
    assert page.calls == []


def test_a_name_is_one_part_of_a_path() -> None:
    assert NAMESPACES.path(name="a?b#c/../d") == "/api/v1/namespaces/a%3Fb%23c%2F..%2Fd"
    assert NAMESPACES.path(name="system:kube-scheduler") == "/api/v1/namespaces/system:kube-scheduler"


# -- how a kubeconfig says that the API server is reached -----------------------------------------------------

VERSION = b'{"gitVersion": "v1.2.3"}'


def test_calls_go_through_the_proxy_of_the_kubeconfig_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "api.test")
    with Server(200, body=VERSION).serves() as proxy:
        config = kubeconfig(tmp_path, "http://api.test", **{"proxy-url": f"http://127.0.0.1:{proxy.server_port}"})
        cluster = Cluster(config)
        assert cluster.version == "v1.2.3"
        cluster.close()
    assert proxy.calls == ["http://api.test/version"]


def test_calls_do_not_go_through_the_proxy_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with answering(tmp_path, 200, body=VERSION) as (cluster, _):
        assert cluster.version == "v1.2.3"


@pytest.mark.parametrize(("named", "trusted"), [("api.test", True), ("other.test", False)])
def test_the_certificate_of_the_server_is_for_the_name_in_the_kubeconfig(
    tmp_path: Path, named: str, trusted: bool
) -> None:
    authority = Authority()
    issued = authority.issue("api.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, issued.certificate_chain_pem, issued.key_pem)
    asked: list[str | None] = []
    context.sni_callback = lambda connection, name, of: asked.append(name)
    (tmp_path / "ca.pem").write_text(authority.pem)
    server = Server(200, body=VERSION)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with server.serves():
        more = {"tls-server-name": named, "certificate-authority": str(tmp_path / "ca.pem")}
        cluster = Cluster(kubeconfig(tmp_path, f"https://127.0.0.1:{server.server_port}", **more))
        with nullcontext() if trusted else pytest.raises(StackError, match=r"other\.test"):
            assert cluster.version == "v1.2.3"
        cluster.close()
    assert asked == [named]


def test_connection_settings_of_a_kubeconfig_can_be_written_again(tmp_path: Path) -> None:
    """The controller under test gets its own kubeconfig."""
    entry = {"proxy-url": "http://127.0.0.1:9", "tls-server-name": "api.test"}
    assert Cluster(kubeconfig(tmp_path, "https://127.0.0.1", **entry)).connection.entry == entry
    assert Cluster(kubeconfig(tmp_path, "https://127.0.0.1")).connection.entry == {}
