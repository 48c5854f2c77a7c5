"""The description of an implementation: the contents of the TOML file, typed and checked."""

from __future__ import annotations

import importlib
import os
import re
import reprlib
import sys
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from ..aws.sts import PLACEHOLDERS as AWS_PLACEHOLDERS
from ..errors import ConfigurationError
from ..inputs import placeholders
from ..requirements.features import FEATURES, KINDS, PROFILES, REQUEST_APIS, check_known, expand, meant
from ..sandbox.handles import CLUSTER_SIGNER_NAME, READY, SIGNER_NAME
from ..sandbox.shapes import BlockShape, FunctionShape, Shape, check_expressible, read_mapping
from ..toolchain import find
from ..toolchain.images import check_image

_REQUIREMENT = re.compile(r"VI-[A-Z]+-[0-9]{3}")
#: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_API_VERSION = re.compile(r"([a-z0-9][a-z0-9.-]*/)?v[a-z0-9]+")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_CONDITION = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_DURATION = re.compile(r"([1-9][0-9]{0,4})(s|m|h)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
#: client-go's leader election by default: a lease of 15 s, and an attempt to acquire it every 2 s.
LEASE = "20s"
_VAULT_AT = re.compile(r"[^.\s]+(\.[^.\s]+)*")
#: Placeholder of a free port; each use is a different port.
FREE_PORT = "free_port"
#: The placeholders of ``command`` and ``env``.
PLACEHOLDERS = (
    "kubeconfig",
    "cluster_resource_namespace",
    "directory",
    "python",
    "webhook_port",
    "webhook_cert_dir",
    FREE_PORT,
    *AWS_PLACEHOLDERS,
)
_PROCESS = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class IssuerDescription:
    """Table ``[issuer]``: how the implementation writes the configuration of its issuer objects.

    :ivar kind: the namespaced kind; :ivar cluster_kind: the cluster-scoped one; '' for none.
    :ivar vault_at: path of cert-manager's block inside the object, if neither `shape` nor `render` is given.
    :ivar shape: the mapping, see :func:`~..sandbox.shapes.read_mapping`; {} for none.
    :ivar render: ``package.module:function``, which takes a :class:`~..sandbox.shapes.Configuration` and returns the
        objects, the issuer object first; '' for none. The module may be in the folder of the file.
    :ivar signer_name: template of the ``signerName`` that refers to a namespaced issuer object.
    :ivar cluster_signer_name: template of the ``signerName`` that refers to a cluster-scoped issuer object.
    :ivar ready_condition: type of the condition that reports whether an issuer object is Ready.
    """

    api_version: str = "cert-manager.io/v1"
    kind: str = "Issuer"
    cluster_kind: str = "ClusterIssuer"
    vault_at: str = "spec.vault"
    shape: dict[str, Any] = field(default_factory=dict)
    render: str = ""
    signer_name: str = SIGNER_NAME
    cluster_signer_name: str = CLUSTER_SIGNER_NAME
    ready_condition: str = READY


@dataclass(frozen=True)
class ProcessDescription:
    """Table ``[[run.processes]]``: a further process of the implementation, such as its webhook.

    :ivar name: its name and that of its log; lower-case letters, digits and dashes.
    :ivar command: program and arguments; :ivar env: environment variables. Both as in ``[run]``.
    :ivar service_account: ``namespace/name`` of its service account; '' for that of ``[run]``.
    """

    name: str = ""
    command: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    service_account: str = ""


@dataclass(frozen=True)
class RunDescription:
    """Table ``[run]``: how the implementation runs, and with which permissions.

    :ivar command: program and arguments, on this machine; [] if it runs already, or if `manifests` run it.
    :ivar image: container image that runs in the cluster with the arguments of `command`, instead of its program on
        this machine; '' for none.
    :ivar images: container images that `manifests` need and no registry has; the suite loads them into kind's nodes.
    :ivar env: environment variables of the command; a variable whose placeholders have no value is left out.
    :ivar service_account: ``namespace/name`` of its service account, which only has the permissions in `rbac`.
    :ivar crds: files, folders or kustomizations of its CustomResourceDefinitions, applied before it starts.
    :ivar rbac: files, folders or kustomizations of its Roles, ClusterRoles and bindings, applied before it starts.
    :ivar manifests: files, folders or kustomizations of other objects that it needs, applied before it starts. The
        session waits for the Deployments, StatefulSets and DaemonSets among them, and reads the logs of their pods.
    :ivar chart: folder or archive of a Helm chart, whose objects are applied like those of `manifests`; '' for none.
    :ivar values: values files for the chart; :ivar set: single values by path, as for ``helm --set``.
    :ivar image_overrides: replacement image by the name in manifests, kustomizations or the chart, with or without
        its tag.
    :ivar processes: further processes.
    :ivar cluster_resource_namespace: namespace of the Secrets and ServiceAccounts of cluster-scoped issuer objects.
    :ivar approves: whether it has its own approver; otherwise the suite approves requests.
    :ivar ready_log: regular expression; the controller is ready when a line of its log matches. '' for immediately.
    :ivar concurrency: number of objects of a kind that it handles at once; with 0, the session measures it.
    :ivar replica_args: further arguments of `command` if several replicas run, such as ``--leader-elect``.
    """

    command: list[str] = field(default_factory=list)
    image: str = ""
    images: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    service_account: str = "vault-issuer/issuer"
    crds: list[str] = field(default_factory=list)
    rbac: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    chart: str = ""
    values: list[str] = field(default_factory=list)
    set: dict[str, str] = field(default_factory=dict)
    image_overrides: dict[str, str] = field(default_factory=dict)
    processes: list[ProcessDescription] = field(default_factory=list)
    cluster_resource_namespace: str = "vault-issuer"
    approves: bool = False
    ready_log: str = ""
    concurrency: int = 0
    replica_args: list[str] = field(default_factory=list)

    def uses(self, placeholder: str) -> bool:
        """Whether a command or an environment variable of any process contains a placeholder."""
        return any(placeholder in placeholders.names(text) for text in self.texts)

    @property
    def texts(self) -> list[str]:
        """All strings that may contain placeholders."""
        descriptions: list[RunDescription | ProcessDescription] = [self, *self.processes]
        return [text for one in descriptions for text in (*one.command, *one.env.values())]

    @property
    def programs(self) -> list[str]:
        """The programs that run on this machine."""
        own = [] if self.image else self.command[:1]
        return [*own, *(process.command[0] for process in self.processes)]


@dataclass(frozen=True)
class TimingDescription:
    """Table ``[timing]``: properties of the controller that determine how long the suite waits.

    :ivar retry: the longest time after which it retries a failure, such as ``90s`` or ``5m``; '' for the suite's
        default.
    :ivar lease: the longest time until another replica replaces a lost leader; '' for that of client-go's defaults.
    """

    retry: str = ""
    lease: str = ""

    @property
    def retry_seconds(self) -> float:
        """The time of :attr:`retry` in seconds, 0 if it is not stated."""
        return _seconds(self.retry)

    @property
    def lease_seconds(self) -> float:
        """The time of :attr:`lease` in seconds."""
        return _seconds(self.lease or LEASE)


@dataclass(frozen=True)
class Implementation:
    """The description of a controller under test.

    :ivar features: the features that it claims.
    :ivar known_failures: requirement id -> why it fails.
    :ivar contract: the cert-manager release whose API and documentation it follows, '' for the newest. Later
        requirements do not apply to it.
    :ivar component: the component of the toolchain that builds it, ``NAME@VERSION``; '' for none. In a file, the
        release is optional, and is the default of version and contract.
    :ivar directory: the base of relative paths.
    """

    name: str
    version: str
    issuer: IssuerDescription
    run: RunDescription
    features: frozenset[str]
    known_failures: dict[str, str] = field(default_factory=dict)
    timing: TimingDescription = TimingDescription()
    organization: str = ""
    url: str = ""
    contact: list[str] = field(default_factory=list)
    contract: str = ""
    component: str = ""
    directory: Path = Path()

    def __post_init__(self) -> None:
        check_known("feature", sorted(self.features), FEATURES)
        for identifier in self.known_failures:
            if not _REQUIREMENT.fullmatch(identifier):
                raise ConfigurationError(
                    f"[known_failures] {identifier!r} is not a requirement", hint="list them: vault-issuer requirements"
                )
        try:
            Version(self.contract or "0")
        except InvalidVersion as error:
            raise ConfigurationError(
                f"[implementation] contract {self.contract!r} is not a release of cert-manager",
                hint='for example "1.18"',
            ) from error
        _check_service_account("[run]", self.run.service_account)
        self._check_processes()
        if not NAMESPACE.fullmatch(self.run.cluster_resource_namespace):
            raise ConfigurationError(
                f"[run] cluster_resource_namespace {self.run.cluster_resource_namespace!r} is not a valid namespace",
                hint='for example "my-issuer"',
            )
        self._check_issuer()
        self._check_env()
        self._check_features()
        self._check_timing()
        if self.run.image:
            check_image("[run] image", self.run.image)
        for image in self.run.images:
            check_image("[run] images", image)
        for name, image in self.run.image_overrides.items():
            check_image(f"[run] image_overrides {name!r}", image)
        if (self.run.values or self.run.set) and not self.run.chart:
            raise ConfigurationError("[run] has values or set, but no chart", hint='add chart = "path/to/chart"')
        for text in self.run.texts:
            check_known("placeholder", placeholders.names(text), PLACEHOLDERS)
        for text in self.run.replica_args:
            known = ("cluster_resource_namespace", FREE_PORT)
            check_known("placeholder of [run] replica_args", placeholders.names(text), known)
        try:
            re.compile(self.run.ready_log)
        except re.error as error:
            raise ConfigurationError(
                f"[run] ready_log is not a regular expression: {error}", hint="escape special characters"
            ) from error

    def _check_issuer(self) -> None:
        issuer = self.issuer
        for key, value, form, example in (
            ("api_version", issuer.api_version, _API_VERSION, "example.com/v1"),
            ("kind", issuer.kind or "None", _KIND, "VaultIssuer"),
            ("cluster_kind", issuer.cluster_kind or "None", _KIND, "VaultClusterIssuer"),
            ("vault_at", issuer.vault_at, _VAULT_AT, "spec.vault"),
            ("ready_condition", issuer.ready_condition, _CONDITION, "Ready"),
        ):
            if not form.fullmatch(value):
                raise ConfigurationError(
                    f"[issuer] {key} {'is empty' if not value else f'cannot be {value!r}'}",
                    hint=f'for example "{example}"',
                )

        if issuer.shape and issuer.render:
            raise ConfigurationError("[issuer] has both shape and render", hint="remove one of them")
        for key, template in (
            ("signer_name", issuer.signer_name),
            ("cluster_signer_name", issuer.cluster_signer_name),
        ):
            if not template:
                continue  # it serves no CertificateSigningRequests for this kind
            names = placeholders.names(template)
            check_known(f"placeholder of [issuer] {key}", names, ("plural", "group", "namespace", "name", "kind"))
            if "name" not in names or re.search(r"[{}]", placeholders.fill(template, lambda _: "")):
                raise ConfigurationError(
                    f"[issuer] {key} {template!r} does not contain {{name}}, or has a stray brace",
                    hint=f'for example "{SIGNER_NAME}"',
                )

    def _check_features(self) -> None:
        issuer = self.issuer
        for feature, key, kind in (
            ("issuer", "kind", issuer.kind),
            ("cluster-issuer", "cluster_kind", issuer.cluster_kind),
        ):
            if feature in self.features and not kind:
                raise ConfigurationError(
                    f"the feature {feature} is claimed but [issuer] {key} is empty",
                    hint=f'name the kind, or write unsupported = ["{feature}"] in [features]',
                )
        for what, names in (("kind of issuer object", KINDS.values()), ("way to request certificates", REQUEST_APIS)):
            if self.features.isdisjoint(names):
                raise ConfigurationError(
                    f"[features] claims no {what}", hint=f"claim one of: {', '.join(names)}; see docs/implementers.md"
                )
        namespaces = {"issuer": (issuer.kind, "probe"), "cluster-issuer": (issuer.cluster_kind, "")}
        kinds = dict(named for feature, named in namespaces.items() if feature in self.features)
        check_expressible(self.shape, self.features, issuer.api_version, kinds)

    @cached_property
    def shape(self) -> Shape:
        """The shape of its issuer objects.

        :raises ConfigurationError: if `render` cannot be imported.
        """
        issuer = self.issuer
        if issuer.shape:
            return read_mapping(issuer.shape)
        if issuer.render:
            return FunctionShape(issuer.render, _import(issuer.render, self.directory))
        return BlockShape(tuple(issuer.vault_at.split(".")))

    def _check_env(self) -> None:
        for name in [*self.run.env, *(name for process in self.run.processes for name in process.env)]:
            if not name or "=" in name:
                raise ConfigurationError(
                    f"[run] env {name!r} is not the name of a variable", hint='for example env = { NAME = "value" }'
                )

    def _check_timing(self) -> None:
        if self.run.concurrency < 0:
            raise ConfigurationError(
                f"[run] concurrency must not be negative, got {self.run.concurrency}",
                hint="give the number of workers for each kind, or remove it so that the session measures it",
            )
        for key in ("retry", "lease"):
            value = getattr(self.timing, key)
            if value and not _DURATION.fullmatch(value):
                raise ConfigurationError(
                    f"[timing] {key} must be a number with a unit (s, m or h), got {value!r}", hint='for example "5m"'
                )

    def _check_processes(self) -> None:
        names: set[str] = set()
        for process in self.run.processes:
            if not _PROCESS.fullmatch(process.name) or process.name in names:
                why = "is used twice" if process.name in names else f"cannot be {process.name!r}"
                raise ConfigurationError(
                    f"[[run.processes]] name {why}", hint='use lower-case letters, digits and dashes: name = "webhook"'
                )
            names.add(process.name)
            place = f"[[run.processes]] {process.name}"
            if not process.command:
                raise ConfigurationError(f"{place}: command is missing", hint='add command = ["./webhook"]')
            if process.service_account:
                _check_service_account(place, process.service_account)

    def resolve(self, path: str) -> Path:
        """Return the absolute form of a path of the description."""
        return Path(os.path.realpath(self.directory / path))  # never fails, not even if links form a circle

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any], directory: Path) -> Implementation:
        """Check the contents of an implementation file and return them.

        :raises ConfigurationError: for unknown keys and wrong types; the message names the place.
        """
        tables = {"implementation", "issuer", "run", "timing", "features", "known_failures"}
        _check_keys("the file", data, tables)
        about = _table(data, "implementation")
        texts = {
            "name": str,
            "version": str,
            "organization": str,
            "url": str,
            "contact": list[str],
            "contract": str,
            "component": str,
        }
        _check_keys("[implementation]", about, texts)
        about = {key: _typed(f"[implementation] {key}", value, texts[key]) for key, value in about.items()}
        if about.get("component"):
            name, _, version = about["component"].partition("@")
            release = find(name, version).version.removeprefix("v")
            about = {"version": release, "contract": release} | about | {"component": f"{name}@{release}"}
        for key in ("name", "version"):
            if about.get(key, "") == "":
                raise ConfigurationError(f"[implementation] {key} is missing", hint=f'add {key} = "…"')
        claimed = _table(data, "features")
        _check_keys("[features]", claimed, ("all", "supported", "unsupported"))
        everything = _typed("[features] all", claimed.get("all", False), bool)
        supported = _typed("[features] supported", claimed.get("supported", []), list[str])
        if everything == bool(supported):
            raise ConfigurationError(
                "[features] needs either all = true or a list supported",
                hint=f"set supported to a list of: {', '.join([*PROFILES, *FEATURES])}",
            )
        known = _table(data, "known_failures")
        if "vault_at" in (issuer := _table(data, "issuer")) and ("shape" in issuer or "render" in issuer):
            raise ConfigurationError("[issuer] has vault_at and another shape", hint="remove vault_at")
        unsupported = _typed("[features] unsupported", claimed.get("unsupported", []), list[str])
        issuer = _section(IssuerDescription, "issuer", data)
        return cls(
            **about,
            issuer=issuer,
            run=_section(RunDescription, "run", data),
            timing=_section(TimingDescription, "timing", data),
            features=_features(PROFILES if everything else supported, unsupported, issuer),
            known_failures={
                identifier: reason
                for identifier, entry in known.items()
                if (reason := _known_failure(identifier, entry, about["version"])) is not None
            },
            directory=directory,
        )

    def with_run(self, **changes: Any) -> Implementation:
        """Return a copy with fields of ``[run]`` changed."""
        return replace(self, run=replace(self.run, **changes))


def _known_failure(identifier: str, entry: Any, version: str) -> str | None:
    """Return why a version fails a requirement; None if it does not.

    :param entry: the reason, or a table of `reason` and `fixed_in`, the first version with the fix.
    """
    place = f"[known_failures] {identifier}"
    if not isinstance(entry, dict):
        return str(_typed(place, entry, str))
    _check_keys(place, entry, ("reason", "fixed_in"))
    reason = _typed(f"{place} reason", entry.get("reason"), str)
    fixed_in = _typed(f"{place} fixed_in", entry.get("fixed_in"), str)
    try:
        return str(reason) if Version(version) < Version(fixed_in) else None
    except InvalidVersion as error:
        raise ConfigurationError(
            f"{place} fixed_in {fixed_in!r} cannot be compared with version {version!r}",
            hint='use versions such as "1.20"',
        ) from error


def _features(supported: Iterable[str], unsupported: list[str], issuer: IssuerDescription) -> frozenset[str]:
    """Return the claimed features; a namespaced kind and CertificateRequests are claimed unless `unsupported`."""
    implied = {"certificate-request"} | ({"issuer"} if issuer.kind else set())
    return (expand(supported) | implied) - expand(unsupported)


def _import(name: str, directory: Path) -> Any:
    """Return the function that ``package.module:function`` names; the module may be in `directory`."""
    module, _, attribute = name.partition(":")
    place = str(directory.absolute())
    sys.path.insert(0, place)
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"[issuer] render {name!r} cannot be imported: {error}",
            hint="name package.module:function; the module may be in the folder of the implementation file",
        ) from error
    finally:
        sys.path.remove(place)
    if not callable(function):
        raise ConfigurationError(
            f"[issuer] render {name!r} is not a function",
            hint="name a function that takes a Configuration and returns a list of objects",
        )
    return function


def _check_service_account(place: str, name: str) -> None:
    namespace, _, account = name.partition("/")
    if not NAMESPACE.fullmatch(namespace) or not _SUBDOMAIN.fullmatch(account):
        raise ConfigurationError(
            f"{place} service_account {name!r} is not namespace/name", hint='for example "my-issuer/controller"'
        )


def _seconds(duration: str) -> float:
    """Return a duration in seconds, 0 for ''."""
    found = _DURATION.fullmatch(duration)
    return int(found[1]) * _UNITS[found[2]] if found else 0.0


def _section(kind: type[Any], name: str, data: Mapping[str, Any]) -> Any:
    table = _table(data, name)
    hints = typing.get_type_hints(kind)
    _check_keys(f"[{name}]", table, [f.name for f in fields(kind)])
    return kind(**{key: _typed(f"[{name}] {key}", value, hints[key]) for key, value in table.items()})


def _table(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name} must be a table", hint=f"write [{name}] and its keys below")
    return value


def _check_keys(place: str, table: Mapping[str, Any], known: typing.Iterable[str]) -> None:
    known = list(known)
    for key in table:
        if key not in known:
            raise ConfigurationError(f"unknown key {key!r} in {place}", hint=meant(key, known))


def _typed(place: str, value: Any, kind: Any) -> Any:
    """Return the value if it has the type: a class, or a list or dict of a class; a table for a dataclass."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is list and isinstance(parts[0], type) and is_dataclass(parts[0]):
        table = place.strip("[]").replace("] ", ".")
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ConfigurationError(f"{place} must be a list of tables", hint=f"write [[{table}]] and its keys below")
        return [_section(parts[0], table, {table: item}) for item in value]
    if origin is None:
        right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    elif origin is list:
        right = isinstance(value, list) and all(isinstance(item, parts[0]) for item in value)
    else:
        right = isinstance(value, dict) and all(parts[1] is Any or isinstance(v, parts[1]) for v in value.values())
    if not right:
        names = {str: "a string", bool: "true or false", int: "a number"}
        tables = "a table" if parts[1:] == (Any,) else "a table of strings"
        wanted = names.get(kind) or {list: "a list of strings", dict: tables}[origin]
        raise ConfigurationError(
            f"{place} must be {wanted}, got {reprlib.repr(value)}",
            hint="see docs/implementers.md, the implementation file",
        )
    texts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else [value]
    if any(isinstance(text, str) and "\0" in text for text in texts):
        raise ConfigurationError(f"{place} contains a NUL character", hint="remove it")
    return value
