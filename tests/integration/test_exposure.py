"""All ports and sockets of a session are known, and other local users cannot use them.

The ports and sockets are those of the session's processes in /proc. Add a new one here, with a test of how it rejects
strangers. Requests come from a client without credentials, and under another user id if the tests run as root.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.aws.sts import ASSUME, IDENTIFY
from pytest_vault_issuer.options import Settings
from pytest_vault_issuer.sandbox import Sandbox
from pytest_vault_issuer.session.session import Session, SessionKey
from pytest_vault_issuer.supervisor.daemon import MARK
from tests.support.processes import command_lines, supervisor_of

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks at sockets in /proc")

NOBODY = 65534
CLIENT = Path(__file__).with_name("unauthenticated.py")
LISTENS = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
#: The error of a connection without a client certificate.
REFUSED_HANDSHAKE = {"SSLError", "SSLEOFError", "ConnectionResetError", "RemoteDisconnected", "BrokenPipeError"}


@dataclass(frozen=True)
class Endpoint:
    """A port or a socket of a process.

    :ivar kind: ``tcp``, ``udp`` or ``unix``.
    :ivar address: IP address or path.
    """

    component: str
    kind: str
    address: str
    port: int = 0


def component(words: list[str]) -> str:
    """Return the component that a process belongs to, by its command line."""
    program = Path(words[0]).name
    for word in words:
        if word.endswith("sts_server"):
            return "STS"
        if word.endswith("daemon.py"):
            return "supervisor"
    return {"vault": "Vault", "bao": "Vault", "cert-manager": "controller"}.get(program, program)


def processes(run: Session) -> Iterator[tuple[int, str]]:
    """Yield every process of a session with its component; the proxies run in the process of the test."""
    directory = run.directory.path
    yield os.getpid(), "proxy"
    yield supervisor_of(directory), "supervisor"
    for pid, words in command_lines():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if f"{MARK}={directory}".encode() in environment:
            yield pid, component(words)


def inodes(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            name = str(link.readlink())
        except OSError:  # it has just been closed
            continue
        if name.startswith("socket:["):
            found.add(name[len("socket:[") : -1])
    return found


def decoded(address: str) -> tuple[str, int]:
    """Return an address of /proc/net: words of 32 bits in the machine's byte order, and a port."""
    host, port = address.split(":")
    data = b"".join(bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, len(host), 8))
    return str(ip_address(data)), int(port, 16)


def endpoints(run: Session) -> set[Endpoint]:
    owners = {inode: name for pid, name in processes(run) for inode in inodes(pid)}
    found = set()
    for table, state in LISTENS.items():
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == state and fields[9] in owners:
                found.add(Endpoint(owners[fields[9]], table[:3], *decoded(fields[1])))
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if int(fields[3], 16) & 0x10000 and fields[6] in owners:  # it accepts connections
            found.add(Endpoint(owners[fields[6]], "unix", fields[7] if len(fields) > 7 else ""))
    return found


class Stranger:
    """Another local user if the tests run as root; otherwise a client without credentials."""

    is_other = os.getuid() == 0

    def ask_all(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        user = NOBODY if self.is_other else -1
        done = subprocess.run(
            [sys.executable, "-I", str(CLIENT), str(user)],
            input=json.dumps(requests),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    def http(
        self, endpoint: Endpoint, *requests: tuple[str, str, str], kind: str = "https", alpn: tuple[str, ...] = ()
    ) -> list[dict[str, Any]]:
        """Send requests (method, path, body) to an endpoint."""
        where = {"kind": kind, "host": endpoint.address, "port": endpoint.port, "alpn": list(alpn)}
        form = {"Content-Type": "application/x-www-form-urlencoded"} if kind == "http" else {}
        return self.ask_all(
            [where | {"method": method, "path": path, "body": body, "headers": form} for method, path, body in requests]
        )


@pytest.fixture(scope="module")
def run() -> Iterator[Session]:
    """A session with every process: both profiles, with cert-manager."""
    run = Session(
        Settings(implementation="cert-manager", stack="process", profile=("extended",)), SessionKey.new(), print
    )
    with closing(run):
        run.environment()
        yield run


@pytest.fixture(scope="module")
def sandbox(run: Session) -> Iterator[Sandbox]:
    with closing(Sandbox(run.environment())) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def found(run: Session, sandbox: Sandbox) -> dict[str, list[Endpoint]]:
    """The ports and sockets of the session, by part."""
    assert run.sts().endpoint, run.sts().absence
    by_component: dict[str, list[Endpoint]] = {}
    for endpoint in sorted(endpoints(run), key=str):
        by_component.setdefault(endpoint.component, []).append(endpoint)
    return by_component


@pytest.fixture
def stranger() -> Stranger:
    return Stranger()


def test_every_port_and_socket_belongs_to_a_known_part(found: dict[str, list[Endpoint]]) -> None:
    counts = {name: [endpoint.kind for endpoint in of_one] for name, of_one in found.items()}
    # The controller-manager's port is disabled, and cert-manager's programs are built here without servers for metrics
    # and health.
    assert counts == {
        "etcd": ["tcp", "tcp"],  # for clients and for peers
        "kube-apiserver": ["tcp"],
        "Vault": ["tcp", "tcp"],  # for clients and for other nodes
        "STS": ["tcp"],
        "cert-manager-webhook": ["tcp"],
        "proxy": ["tcp"],
        "supervisor": ["unix"],
    }


def test_every_port_is_on_loopback(found: dict[str, list[Endpoint]]) -> None:
    addresses = {
        name: {endpoint.address for endpoint in of_one} for name, of_one in found.items() if name != "supervisor"
    }
    # It has no option for its address (pkg/webhook/server/server.go sets only the port), as docs/providers.md states.
    # A test below checks what it answers.
    assert addresses.pop("cert-manager-webhook") == {"::"}
    assert all(of_one == {"127.0.0.1"} for of_one in addresses.values()), addresses


def test_etcd_requires_a_client_certificate(found: dict[str, list[Endpoint]], stranger: Stranger) -> None:
    asked = [("GET", path, "") for path in ("/version", "/health", "/metrics", "/v2/keys", "/members", "/raft")]
    asked += [("POST", "/v3/kv/range", '{"key": "AA==", "range_end": "AA=="}')]
    for endpoint in found["etcd"]:
        for answer in stranger.http(endpoint, *asked):
            assert (answer["status"], answer["error"] in REFUSED_HANDSHAKE) == (0, True), answer


def test_api_server_lets_strangers_see_health_and_version_only(
    found: dict[str, list[Endpoint]], stranger: Stranger
) -> None:
    (endpoint,) = found["kube-apiserver"]
    public = ["/healthz", "/livez", "/readyz", "/version"]
    closed = [
        "/", "/api", "/apis", "/api/v1/namespaces", "/api/v1/secrets", "/api/v1/namespaces/kube-system/serviceaccounts",
        "/apis/cert-manager.io/v1/issuers", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "/openapi/v2",
        "/metrics", "/logs", "/debug/pprof/", "/configz", "/openid/v1/jwks", "/.well-known/openid-configuration",
    ]  # fmt: skip
    answers = stranger.http(endpoint, *(("GET", path, "") for path in [*public, *closed]))
    assert [answer["status"] for answer in answers] == [200] * len(public) + [403] * len(closed)
    namespace = '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "strangers"}}'
    token = '{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["x"]}}'
    changes = [
        ("POST", "/api/v1/namespaces", namespace),
        ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", token),
        ("DELETE", "/api/v1/namespaces/default", ""),
    ]
    assert [answer["status"] for answer in stranger.http(endpoint, *changes)] == [403] * len(changes)


#: Endpoints that Vault's API documents as unauthenticated; each needs a credential or a key share in its body, or only
#: returns the state of the server.
VAULT_PUBLIC = (
    ("GET", "/v1/sys/health", ""),
    ("GET", "/v1/sys/seal-status", ""),
    ("GET", "/v1/sys/init", ""),
    ("GET", "/v1/sys/leader", ""),
    ("PUT", "/v1/sys/init", '{"secret_shares": 1, "secret_threshold": 1}'),
    ("POST", "/v1/auth/kubernetes/login", '{"role": "any", "jwt": "a.b.c"}'),
    ("POST", "/v1/auth/approle/login", '{"role_id": "any", "secret_id": "any"}'),
)
VAULT_CLOSED = (
    ("GET", "/v1/sys/mounts", ""),
    ("GET", "/v1/sys/auth", ""),
    ("LIST", "/v1/sys/policies/acl", ""),
    ("GET", "/v1/sys/metrics", ""),
    ("GET", "/v1/sys/host-info", ""),
    ("GET", "/v1/sys/pprof/goroutine", ""),
    ("GET", "/v1/sys/config/state/sanitized", ""),
    ("GET", "/v1/auth/token/lookup-self", ""),
    ("POST", "/v1/auth/token/create", "{}"),
    ("POST", "/v1/sys/mounts/strangers", '{"type": "pki"}'),
    ("PUT", "/v1/sys/seal", ""),
    ("POST", "/v1/pki/sign/any", '{"csr": "any"}'),
)


def test_vault_refuses_strangers(found: dict[str, list[Endpoint]], run: Session, stranger: Stranger) -> None:
    endpoint = next(e for e in found["Vault"] if run.stack().vault.url.endswith(f":{e.port}"))
    assert [answer["status"] for answer in stranger.http(endpoint, *VAULT_CLOSED)] == [403] * len(VAULT_CLOSED)
    *_, initialize, kubernetes, approle = stranger.http(endpoint, *VAULT_PUBLIC)
    assert "already initialized" in initialize["body"]
    for answer in (initialize, kubernetes, approle):
        assert answer["status"] in (400, 403, 404)
        assert "client_token" not in answer["body"]


def test_cluster_port_of_vault_requires_a_client_certificate(
    found: dict[str, list[Endpoint]], run: Session, stranger: Stranger
) -> None:
    (endpoint,) = (e for e in found["Vault"] if not run.stack().vault.url.endswith(f":{e.port}"))
    for protocol in ("", "h2", "http/1.1", "req_fw_sb-act_v1", "raft_storage_v1"):
        (answer,) = stranger.http(endpoint, ("GET", "/v1/sys/health", ""), alpn=(protocol,) if protocol else ())
        assert (answer["status"], answer["error"] in REFUSED_HANDSHAKE) == (0, True), (protocol, answer)


def test_proxy_gives_strangers_the_responses_of_vault(
    found: dict[str, list[Endpoint]], run: Session, sandbox: Sandbox, stranger: Stranger
) -> None:
    """The proxy adds no credential: a request gets the same response with and without it."""
    (proxy,) = found["proxy"]
    assert sandbox.proxy.url.endswith(f":{proxy.port}")
    vault = next(e for e in found["Vault"] if run.stack().vault.url.endswith(f":{e.port}"))
    asked = [*VAULT_PUBLIC, *VAULT_CLOSED, ("GET", "/", ""), ("GET", "/ui/", ""), ("GET", "/v1/../../etc/passwd", "")]
    through, direct = stranger.http(proxy, *asked), stranger.http(vault, *asked)
    assert [answer["status"] for answer in through] == [answer["status"] for answer in direct]
    assert not any("client_token" in answer["body"] for answer in through)


def test_sts_refuses_clients_without_credentials(found: dict[str, list[Endpoint]], stranger: Stranger) -> None:
    (endpoint,) = found["STS"]
    role = "RoleArn=arn:aws:iam::111122223333:role/any&RoleSessionName=any"
    asked = [
        ("POST", "/", f"Action={ASSUME}&Version=2011-06-15&{role}&WebIdentityToken=a.b.c"),
        ("GET", f"/?Action={ASSUME}&{role}&WebIdentityToken=a.b.c", ""),
        ("POST", "/", f"Action={IDENTIFY}&Version=2011-06-15"),
        ("POST", "/", f"Action=AssumeRole&Version=2011-06-15&{role}"),
        ("POST", "/", "Action=GetSessionToken&Version=2011-06-15"),
        ("POST", "/", "Action=CreateUser&UserName=any&Version=2010-05-08"),
        ("GET", "/moto-api/data.json", ""),
        ("POST", "/moto-api/reset", ""),
        ("POST", "/v1/submitjob", "{}"),
        ("OPTIONS", "/", ""),
        ("GET", "/", ""),
    ]
    for request, answer in zip(asked, stranger.http(endpoint, *asked, kind="http"), strict=True):
        assert 400 <= answer["status"] < 500, (request, answer)
        assert "AccessKeyId" not in answer["body"]
        assert not any(name.lower().startswith("access-control") for name, _ in answer["headers"])


def test_webhook_only_reviews_what_it_is_sent(found: dict[str, list[Endpoint]], stranger: Stranger) -> None:
    (webhook,) = found["cert-manager-webhook"]
    local = replace(webhook, address="127.0.0.1")
    paths = ("/", "/healthz", "/livez", "/metrics", "/debug/pprof/", "/api", "/convert")
    for answer in stranger.http(local, *(("GET", path, "") for path in paths)):
        assert answer["status"] == 404, answer
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "any"}}
    bodies = ("", "{}", json.dumps(review), "no JSON")
    for answer in stranger.http(local, *(("POST", path, body) for path in ("/validate", "/mutate") for body in bodies)):
        assert '"allowed":true' not in answer["body"], answer


def test_only_the_user_can_use_files_and_sockets(
    found: dict[str, list[Endpoint]], run: Session, stranger: Stranger
) -> None:
    directory = run.directory.path
    (supervisor,) = found["supervisor"]
    assert Path(supervisor.address).parent == directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert directory.stat().st_uid == os.getuid()
    if stranger.is_other:
        sockets = [{"kind": "unix", "path": supervisor.address}, {"kind": "file", "path": str(directory)}]
        assert [answer["error"] for answer in stranger.ask_all(sockets)] == ["PermissionError"] * 2
