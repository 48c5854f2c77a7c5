"""The options of a session. The fields of :class:`Settings` declare them; nothing else does.

Command line, ini file, environment, ``stack images`` and the reference page derive from these declarations.
"""

# ruff: noqa: RUF009 (declarations of options are immutable)

from __future__ import annotations

import os
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .errors import ConfigurationError
from .inputs.addresses import why_no_host, why_no_url
from .requirements.features import PROFILES
from .toolchain import find, releases
from .toolchain.images import VAULT_IMAGE, check_image

STACKS = ("auto", "process", "kind", "existing")
VAULT_MODES = ("server", "dev")
#: The smallest and the largest factor of timeouts.
SCALES = (0.01, 1000)
TOKEN_VARIABLE = "VAULT_ISSUER_VAULT_TOKEN"  # noqa: S105 (a name)
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_MIRROR = re.compile(r"[\w.-]+(:[0-9]+)?(/[\w.-]+)*/?")


def versions_of(component: str) -> str:
    """Return the versions of a component that the toolchain builds, the default first, separated by commas."""
    return ", ".join(entry.line for entry in releases(component))


def _option(text: str, default: Any = "", *, metavar: str = "VALUE", name: str = "") -> Any:
    """Declare an option.

    :param text: what it is or does, for help and reference: a noun phrase or an imperative.
    :param name: of the command line option without ``--vault-issuer-``; by default that of the field.
    """
    return field(default=default, metadata={"help": text, "metavar": metavar, "name": name})


@dataclass(frozen=True)
class Settings:
    """What the user asked for, checked."""

    implementation: str = _option(
        f"implementation to judge: a built-in (cert-manager; cert-manager@VERSION of {versions_of('cert-manager')}), "
        "a TOML file, or package.module:factory",
        metavar="IMPLEMENTATION",
        name="vault-issuer",
    )
    stack: str = _option(f"provider of Vault and Kubernetes: {', '.join(STACKS)}", "auto")
    profile: tuple[str, ...] = _option(f"profile to judge: {', '.join(PROFILES)}", ())
    select: tuple[str, ...] = _option("area or requirement to judge, such as SIGN or VI-SIGN-001", ())
    report: Path | None = _option(
        "write the report into this directory: JSON, JSON lines, HTML, Markdown, YAML, and a folder for each failure",
        None,
        metavar="DIR",
    )
    certify: bool = _option(
        "make a report that others can rely on: judge everything that is claimed, leave out and repeat nothing", False
    )
    timeout_scale: float = _option("multiply every timeout by this number", 1.0, metavar="NUMBER")
    keep_stack: bool = _option("keep the stack when the session ends, and print how to use and how to remove it", False)
    join: Path | None = _option(
        "use the stack in this directory: that of `vault-issuer stack up` or of a running session", None, metavar="DIR"
    )
    kubeconfig: Path | None = _option("existing cluster: kubeconfig file", None, metavar="FILE")
    kube_context: str | None = _option("existing cluster: context in the kubeconfig", None)
    kubernetes_host: str | None = _option("existing cluster: the URL at which Vault reaches it", None)
    bind: str = _option(
        "address of this machine that the controller can reach (default: loopback; kind: the container network's "
        "gateway)"
    )
    vault_addr: str = _option("existing Vault: its URL")
    vault_ca_cert: Path | None = _option("existing Vault: CA certificate (PEM)", None, metavar="FILE")
    vault_token_file: Path | None = _option(
        f"existing Vault: file with a token (or {TOKEN_VARIABLE} in the environment)", None, metavar="FILE"
    )
    vault_version: str = _option(f"version of Vault to build and use: {versions_of('vault')}")
    kubernetes_version: str = _option(f"version of Kubernetes to build and use: {versions_of('kubernetes')}")
    keep_go_caches: bool = _option(
        "keep Go's module and build caches (several GB) after a build, so that further builds are faster", False
    )
    vault_binary: Path | None = _option("vault or bao program to use", None, metavar="FILE")
    kubernetes_binaries: Path | None = _option(
        "directory with the etcd and kube-apiserver to use (default: KUBEBUILDER_ASSETS)", None, metavar="DIR"
    )
    vault_image: str = _option(f"kind: image of Vault or OpenBao (default: {VAULT_IMAGE})", VAULT_IMAGE)
    vault_mode: str = _option(
        "kind: how Vault starts: server (sealed, with TLS; default) or dev (the default of its image)", VAULT_MODES[0]
    )
    node_image: str = _option("kind: image of the nodes (default: the one that kind chooses)")
    kind_config: Path | None = _option("kind: configuration file of the cluster", None, metavar="FILE")
    kind_cluster: str = _option("kind: name of an existing cluster; the session uses it and keeps it")
    kind_binary: Path | None = _option("kind: kind program to use (default: the one in PATH)", None, metavar="FILE")
    image: str = _option("kind: run the controller in the cluster from this image, not its program on this machine")
    kubectl_binary: Path | None = _option(
        "kubectl program that reads kustomizations (default: the one that was built, or the one in PATH)",
        None,
        metavar="FILE",
    )
    helm_binary: Path | None = _option(
        "helm program that renders charts (default: the one in PATH, or the one that is built)", None, metavar="FILE"
    )
    registry_mirror: str = _option(
        "kind: registry to pull images from, instead of the one in their names", metavar="REGISTRY"
    )

    @classmethod
    def collect(
        cls,
        command_line: Callable[[str], Any],
        ini: Callable[[str], Any],
        environment: Mapping[str, str] = os.environ,
        base: Path = Path(),
        given: Mapping[str, Any] = MappingProxyType({}),
    ) -> Settings:
        """Take each option from the command line, else the environment, else the ini file.

        :param command_line: option name -> value or None.
        :param ini: ini name -> value or ''.
        :param base: directory that relative paths in the ini file are relative to.
        :param given: values by field, which come first.
        :raises ConfigurationError: when a value cannot be used.
        """
        values: dict[str, Any] = dict(given)
        for option in OPTIONS:
            if option.field in given:
                continue
            if text := command_line(option.name) or environment.get(option.env):
                values[option.field] = option.convert(text)
            elif text := ini(option.ini):
                values[option.field] = option.convert(text, base)
        chosen = values.get("kubernetes_binaries") or values.get("kubernetes_version")
        if not chosen and environment.get("KUBEBUILDER_ASSETS"):
            values["kubernetes_binaries"] = Path(environment["KUBEBUILDER_ASSETS"])
        return cls(**values)

    @classmethod
    def of_command(cls, *, environment: Mapping[str, str] = os.environ, **values: Any) -> Settings:
        """Return the settings of a command that starts a session: its own values, and the environment for the others.

        The session does not join another one, even if the environment says so.

        :param values: by field; they count even if they are the default.
        :raises ConfigurationError: when a value cannot be used.
        """
        return cls.collect(lambda _: None, lambda _: None, environment, given={"join": None, **values})

    def __post_init__(self) -> None:
        if self.stack not in STACKS:
            raise ConfigurationError(
                f"--vault-issuer-stack={self.stack}: no such provider", hint=f"one of: {', '.join(STACKS)}"
            )
        if not SCALES[0] <= self.timeout_scale <= SCALES[1]:  # also refuses "not a number"
            raise ConfigurationError("--vault-issuer-timeout-scale must be from 0.01 to 1000", hint="for example 2")
        self._check_addresses()
        if self.stack == "existing" and not self.names_existing:
            raise ConfigurationError(
                "--vault-issuer-stack=existing needs a cluster and a Vault",
                hint="give --vault-issuer-kubeconfig and --vault-issuer-vault-addr; ambient values are never used",
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
                "--vault-issuer-keep-stack needs a stack that the session starts itself",
                hint="remove --vault-issuer-keep-stack: an existing cluster stays anyway",
            )
        if self.kind_cluster and (self.node_image or self.kind_config):
            raise ConfigurationError(
                "--vault-issuer-kind-cluster names an existing cluster: its nodes cannot be chosen",
                hint="remove --vault-issuer-node-image and --vault-issuer-kind-config",
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
                f"--vault-issuer-bind={self.bind} is not an address to listen on: {why}",
                hint="give an address of this machine without scheme, port and brackets, for example 192.0.2.7",
            )
        if self.registry_mirror and not _MIRROR.fullmatch(self.registry_mirror):
            raise ConfigurationError(
                "--vault-issuer-registry-mirror is not the name of a registry",
                hint="give a host without a scheme, with a port and a path if needed: mirror.test:5000/hub",
            )
        if self.kind_cluster and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.kind_cluster):
            raise ConfigurationError(
                f"--vault-issuer-kind-cluster={self.kind_cluster} is not the name of a kind cluster",
                hint="list your clusters: kind get clusters",
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
                f"{option}: this session does not build {component}, because other options provide it",
                hint=f"remove --vault-issuer-{component}-version, or the options that name another {component}",
            )

    def options(self) -> list[str]:
        """Return the command line options that ask for the same, wherever each value was given.

        Defaults are left out. No option has a secret as its value.
        """
        written = []
        for option in OPTIONS:
            value = getattr(self, option.field)
            if value == option.default:
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

        :raises ConfigurationError: when there is no token, or it cannot be sent in a header.
        """
        if self.vault_token_file is not None:
            source = f"the token file {self.vault_token_file}"
            try:
                token = self.vault_token_file.read_text(encoding="utf-8-sig").strip()
            except OSError as error:
                raise ConfigurationError(f"{source} cannot be read: {error.strerror}", hint="check the path") from error
            except UnicodeDecodeError:
                # The error would show the content of the file.
                raise ConfigurationError(
                    f"{source} does not contain text", hint="write only the token into it"
                ) from None
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
                f"{source} contains a line break, a space, a control character or a character outside ASCII: "
                "a Vault token has none of them",
                hint="write only the token into it: vault print token",
            )
        return token


@dataclass(frozen=True)
class Option:
    """One option, as its field of :class:`Settings` declares it.

    :ivar name: on the command line, without dashes.
    :ivar field: of :class:`Settings`.
    :ivar type: of the field's values.
    """

    name: str
    field: str
    help: str
    metavar: str
    default: Any
    type: Any

    @classmethod
    def of(cls, declared: Field[Any], kind: Any) -> Option:
        """Return the option that a field declares."""
        name = declared.metadata["name"] or f"vault-issuer-{declared.name.replace('_', '-')}"
        text, metavar = declared.metadata["help"], declared.metadata["metavar"]
        return cls(name, declared.name, text, metavar, declared.default, kind)

    @property
    def many(self) -> bool:
        """Whether it is repeatable on the command line, and takes several words elsewhere."""
        return typing.get_origin(self.type) is tuple

    @property
    def flag(self) -> bool:
        """Whether it takes no value on the command line, and true or false elsewhere."""
        return self.type is bool

    @property
    def ini(self) -> str:
        """Name in the ini file."""
        return self.name.replace("-", "_")

    @property
    def env(self) -> str:
        """Name in the environment."""
        return self.ini.upper()

    def convert(self, given: str | list[str], base: Path = Path()) -> Any:
        """Return the value of a text, or of several texts.

        :param base: directory that a relative path is relative to.
        :raises ConfigurationError: when the text has the wrong form.
        """
        if self.many:
            return tuple(given.split() if isinstance(given, str) else given)
        text = str(given[0] if isinstance(given, list) else given)
        if self.flag:
            if text.lower() not in _TRUTH:
                raise ConfigurationError(
                    f"{self.ini} must be true or false, got {text}", hint="set it to true or false, or remove it"
                )
            return _TRUTH[text.lower()]
        if self.type is float:
            try:
                return float(text)
            except ValueError as error:
                raise ConfigurationError(
                    f"--{self.name} must be a number, got {text}", hint="for example 2.5"
                ) from error
        if Path in typing.get_args(self.type):
            return base / text
        if self.field == "implementation" and text.endswith(".toml"):
            return str(base / text)
        return text


_TYPES = typing.get_type_hints(Settings)
OPTIONS = tuple(Option.of(declared, _TYPES[declared.name]) for declared in fields(Settings))
