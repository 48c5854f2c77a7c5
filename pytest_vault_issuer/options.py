"""The options: one table from which come command line, ini file and environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .errors import ConfigurationError
from .inputs.addresses import why_no_host, why_no_url
from .requirements.features import PROFILES
from .toolchain import COMPONENTS, find
from .toolchain.images import VAULT_IMAGE, check_image

STACKS = ("auto", "process", "kind", "existing")
VAULT_MODES = ("server", "dev")


@dataclass(frozen=True)
class Option:
    """One option.

    :ivar name: of the command line option, without dashes; ini and environment twins derive from it.
    :ivar field: of :class:`Settings`.
    :ivar many: repeatable on the command line; several words elsewhere.
    :ivar flag: takes no value on the command line; true or false elsewhere.
    """

    name: str
    field: str
    help: str
    many: bool = False
    flag: bool = False
    metavar: str = "VALUE"

    @property
    def ini(self) -> str:
        """Name in the ini file."""
        return self.name.replace("-", "_")

    @property
    def env(self) -> str:
        """Name in the environment."""
        return self.ini.upper()


def versions_of(component: str) -> str:
    """Return the versions of a component that can be built, the default first, for people."""
    return ", ".join(entry.line for entry in COMPONENTS if entry.name == component)


_KIND_OPTIONS = (
    Option("vault-issuer-vault-image", "vault_image", f"kind: this image of Vault or OpenBao (default: {VAULT_IMAGE})"),
    Option(
        "vault-issuer-vault-mode",
        "vault_mode",
        "kind: how Vault is started: server (sealed, with TLS; default) or dev (as its image does by itself)",
    ),
    Option("vault-issuer-node-image", "node_image", "kind: this node image (default: the one kind goes with)"),
    Option(
        "vault-issuer-kind-config", "kind_config", "kind: start from this configuration of a cluster", metavar="FILE"
    ),
    Option("vault-issuer-kind-cluster", "kind_cluster", "kind: use this cluster, which is there, and leave it there"),
    Option("vault-issuer-kind-binary", "kind_binary", "kind: this kind (default: of PATH)", metavar="FILE"),
    Option(
        "vault-issuer-image",
        "image",
        "kind: run the implementation in the cluster, from this image, instead of its program on this machine",
    ),
    Option(
        "vault-issuer-kubectl-binary",
        "kubectl_binary",
        "this kubectl, for kustomizations (default: the one that was built, or of PATH)",
        metavar="FILE",
    ),
    Option(
        "vault-issuer-registry-mirror",
        "registry_mirror",
        "kind: pull images from here, with their own registry's name left out",
        metavar="REGISTRY",
    ),
)
OPTIONS = (
    Option(
        "vault-issuer",
        "implementation",
        f"the issuer under test: a built-in (cert-manager; cert-manager@VERSION of {versions_of('cert-manager')}), "
        "a TOML file, or package.module:factory",
        metavar="IMPLEMENTATION",
    ),
    Option("vault-issuer-stack", "stack", f"where Vault and Kubernetes come from: {', '.join(STACKS)}"),
    Option("vault-issuer-profile", "profiles", f"judge this profile ({', '.join(PROFILES)})", many=True),
    Option("vault-issuer-select", "select", "run only this area or requirement, e.g. SIGN or VI-SIGN-001", many=True),
    Option(
        "vault-issuer-report",
        "report",
        "write the report into this directory: JSON, JSON lines, HTML, Markdown, YAML, and a folder for each failure",
        metavar="DIR",
    ),
    Option(
        "vault-issuer-certify",
        "certify",
        "make a report to show to others: everything claimed is judged, nothing left out or repeated",
        flag=True,
    ),
    Option("vault-issuer-timeout-scale", "timeout_scale", "multiply every timeout by this number", metavar="NUMBER"),
    Option(
        "vault-issuer-keep-stack",
        "keep_stack",
        "leave everything up when the run ends, and say how to use and to remove it",
        flag=True,
    ),
    Option(
        "vault-issuer-join",
        "join",
        "use a stack that is there: of `vault-issuer stack up` or of a run that is under way, by its directory",
        metavar="DIR",
    ),
    Option("vault-issuer-kubeconfig", "kubeconfig", "existing cluster: kubeconfig file", metavar="FILE"),
    Option("vault-issuer-kube-context", "kube_context", "existing cluster: context in the kubeconfig"),
    Option("vault-issuer-kubernetes-host", "kubernetes_host", "existing cluster: its URL as Vault reaches it"),
    Option(
        "vault-issuer-bind",
        "bind",
        "address of this machine that the issuer can reach (default: loopback; kind: the container network's gateway)",
    ),
    Option("vault-issuer-vault-addr", "vault_addr", "existing Vault: its URL"),
    Option("vault-issuer-vault-ca-cert", "vault_ca_cert", "existing Vault: CA certificate (PEM)", metavar="FILE"),
    Option(
        "vault-issuer-vault-token-file",
        "vault_token_file",
        "existing Vault: file with a token (or VAULT_ISSUER_VAULT_TOKEN in the environment)",
        metavar="FILE",
    ),
    Option("vault-issuer-vault-version", "vault_version", f"build and use this Vault: {versions_of('vault')}"),
    Option(
        "vault-issuer-kubernetes-version",
        "kubernetes_version",
        f"build and use this Kubernetes: {versions_of('kubernetes')}",
    ),
    Option(
        "vault-issuer-keep-go-caches",
        "keep_go_caches",
        "keep Go's module and build caches, several GB, after a build: for several versions, one after another",
        flag=True,
    ),
    Option("vault-issuer-vault-binary", "vault_binary", "use this vault or bao binary", metavar="FILE"),
    Option(
        "vault-issuer-kubernetes-binaries",
        "kubernetes_binaries",
        "use etcd and kube-apiserver of this directory (default: KUBEBUILDER_ASSETS)",
        metavar="DIR",
    ),
    *_KIND_OPTIONS,
)
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_MIRROR = re.compile(r"[\w.-]+(:[0-9]+)?(/[\w.-]+)*/?")
TOKEN_VARIABLE = "VAULT_ISSUER_VAULT_TOKEN"  # noqa: S105 (a name)


@dataclass(frozen=True)
class Settings:
    """What the user asked for, checked."""

    implementation: str = ""
    stack: str = "auto"
    profiles: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    report: Path | None = None
    certify: bool = False
    timeout_scale: float = 1.0
    join: Path | None = None
    kubeconfig: Path | None = None
    kube_context: str | None = None
    kubernetes_host: str | None = None
    bind: str = ""
    vault_addr: str = ""
    vault_ca_cert: Path | None = None
    vault_token_file: Path | None = None
    vault_version: str = ""
    kubernetes_version: str = ""
    keep_go_caches: bool = False
    vault_binary: Path | None = None
    kubernetes_binaries: Path | None = None
    vault_image: str = VAULT_IMAGE
    vault_mode: str = VAULT_MODES[0]
    node_image: str = ""
    kind_config: Path | None = None
    kind_cluster: str = ""
    kind_binary: Path | None = None
    keep_stack: bool = False
    image: str = ""
    kubectl_binary: Path | None = None
    registry_mirror: str = ""

    @classmethod
    def collect(
        cls,
        command_line: Callable[[str], Any],
        ini: Callable[[str], Any],
        environment: Mapping[str, str] = os.environ,
        base: Path = Path(),
    ) -> Settings:
        """Take each option from the command line, else the environment, else the ini file.

        :param command_line: option name -> value or None.
        :param ini: ini name -> value or ''.
        :param base: what relative paths of the ini file are relative to.
        :raises ConfigurationError: when a value cannot be used.
        """
        values: dict[str, Any] = {}
        for option in OPTIONS:
            given = command_line(option.name)
            from_ini = False
            if not given:
                given = environment.get(option.env) or ""
            if not given:
                given, from_ini = ini(option.ini), True
            if given:
                texts = given if isinstance(given, list) else (given.split() if option.many else [given])
                values[option.field] = _convert(option, texts, base if from_ini else Path())
        chosen = {"kubernetes_binaries", "kubernetes_version"} & values.keys()
        if not chosen and environment.get("KUBEBUILDER_ASSETS"):
            values["kubernetes_binaries"] = Path(environment["KUBEBUILDER_ASSETS"])
        return cls(**values)

    def __post_init__(self) -> None:
        if self.stack not in STACKS:
            raise ConfigurationError(
                f"--vault-issuer-stack={self.stack}: no such provider", hint=f"one of: {', '.join(STACKS)}"
            )
        if not 0.01 <= self.timeout_scale <= 1000:  # not a number neither
            raise ConfigurationError("--vault-issuer-timeout-scale must be from 0.01 to 1000", hint="for example 2")
        self._check_addresses()
        if self.stack == "existing" and not self.names_existing:
            raise ConfigurationError(
                "--vault-issuer-stack=existing needs a cluster and a Vault",
                hint="give --vault-issuer-kubeconfig and --vault-issuer-vault-addr; the ambient ones are never used",
            )
        if self.vault_mode not in VAULT_MODES:
            raise ConfigurationError(
                f"--vault-issuer-vault-mode={self.vault_mode}: no such mode", hint=f"one of: {', '.join(VAULT_MODES)}"
            )
        for option in ("vault_image", "node_image", "image"):
            if image := getattr(self, option):
                check_image(f"--vault-issuer-{option.replace('_', '-')}", image)
        if self.keep_stack and (self.stack == "existing" or self.names_existing or self.kind_cluster or self.join):
            raise ConfigurationError(
                "--vault-issuer-keep-stack is for a stack that the run makes itself",
                hint="leave it out where the cluster is there already",
            )
        if self.kind_cluster and (self.node_image or self.kind_config):
            raise ConfigurationError(
                "--vault-issuer-kind-cluster names a cluster that is there: how its nodes are is decided",
                hint="leave out --vault-issuer-node-image and --vault-issuer-kind-config",
            )
        self._check_version("vault", self.vault_version, self.vault_binary)
        self._check_version("kubernetes", self.kubernetes_version, self.kubernetes_binaries)

    def _check_addresses(self) -> None:
        for option, url in (("vault-addr", self.vault_addr), ("kubernetes-host", self.kubernetes_host)):
            if url and (why := why_no_url(url)):
                raise ConfigurationError(
                    f"--vault-issuer-{option} is not the URL of a server: {why}",
                    hint="for example https://192.0.2.7:8200",
                )
        if self.bind and (why := why_no_host(self.bind)):
            raise ConfigurationError(
                f"--vault-issuer-bind={self.bind} cannot be listened on: {why}",
                hint="give an address of this machine, without scheme, port and brackets: for example 192.0.2.7",
            )
        if self.registry_mirror and not _MIRROR.fullmatch(self.registry_mirror):
            raise ConfigurationError(
                "--vault-issuer-registry-mirror is not the name of a registry",
                hint="give a host without a scheme, with port and path if need be: for example mirror.test:5000/hub",
            )
        if self.kind_cluster and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.kind_cluster):
            raise ConfigurationError(
                f"--vault-issuer-kind-cluster={self.kind_cluster} cannot be the name of a cluster of kind",
                hint="list yours: kind get clusters",
            )

    def _check_version(self, component: str, version: str, binaries: Path | None) -> None:
        if not version:
            return
        option = f"--vault-issuer-{component}-version={version}"
        try:
            find(component, version)
        except ConfigurationError as error:
            raise ConfigurationError(f"{option}: {error.message}", hint=error.hint) from error
        elsewhere = self.stack in ("existing", "kind") or (self.stack == "auto" and self.names_existing)
        if binaries is not None or elsewhere or self.join is not None:
            raise ConfigurationError(
                f"{option}: nothing is built where {component} is given", hint="leave out one or the other"
            )

    def options(self, *, without: Collection[str] = ()) -> list[str]:
        """Return the options of the command line that ask for the same, wherever each of these was given.

        Defaults are left out. A secret is never among them: no option has one.

        :param without: fields that are left out too.
        """
        written = []
        for option in OPTIONS:
            value = getattr(self, option.field)
            if option.field in without or value == getattr(_DEFAULTS, option.field):
                continue
            if option.flag:
                written.append(f"--{option.name}")
                continue
            for one in value if option.many else [value]:
                written.append(f"--{option.name}={f'{one:g}' if isinstance(one, float) else one}")
        return written

    @property
    def names_existing(self) -> bool:
        """Whether an existing cluster and an existing Vault are named."""
        return self.kubeconfig is not None and bool(self.vault_addr)

    def vault_token(self, environment: Mapping[str, str] = os.environ) -> str:
        """Return the existing Vault's token, without whitespace around it.

        :raises ConfigurationError: when there is none, or when it cannot be sent as a header.
        """
        if self.vault_token_file is not None:
            source = f"the token file {self.vault_token_file}"
            try:
                token = self.vault_token_file.read_text(encoding="utf-8-sig").strip()
            except OSError as error:
                raise ConfigurationError(f"{source} cannot be read: {error.strerror}", hint="check the path") from error
            except UnicodeDecodeError:
                # Its content, which the error would show, stays out.
                raise ConfigurationError(f"{source} is not text", hint="write the token alone into it") from None
        else:
            source, token = TOKEN_VARIABLE, environment.get(TOKEN_VARIABLE, "").strip()
        if not token and self.vault_token_file is None:
            raise ConfigurationError(
                "there is no token for the existing Vault",
                hint=f"give --vault-issuer-vault-token-file, or set {TOKEN_VARIABLE}",
            )
        if not token:
            raise ConfigurationError(f"{source} is empty", hint="write the token into it")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError(
                f"{source} holds characters that no token has: a line break, a space, a control character or a letter "
                "that is not ASCII",
                hint="write the token alone into it: vault print token",
            )
        return token


_DEFAULTS = Settings()


def _convert(option: Option, texts: list[str], base: Path) -> Any:
    kind = str(next(f.type for f in fields(Settings) if f.name == option.field))
    if option.many:
        return tuple(texts)
    text = str(texts[0])
    if option.flag:
        if text.lower() not in _TRUTH:
            raise ConfigurationError(f"{option.ini} is to be true or false, not {text}", hint="or leave it out")
        return _TRUTH[text.lower()]
    if kind == "float":
        try:
            return float(text)
        except ValueError as error:
            raise ConfigurationError(f"--{option.name}={text} is not a number", hint="for example 2.5") from error
    if kind.startswith("Path"):
        return base / text
    if option.field == "implementation" and text.endswith(".toml"):
        return str(base / text)
    return text
