"""Shapes: how an implementation writes the configuration of an issuer object.

The suite uses an abstract configuration: server, path, CA, namespace and authentication, in the field names of
cert-manager's API reference. A shape turns it into objects. cert-manager's block is one shape; an implementation file
describes another one by a mapping or by a function.
"""

from __future__ import annotations

import base64
import binascii
import copy
import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError, UnsupportedError
from ..inputs import placeholders
from ..kube.client import Object
from ..requirements.features import meant

_MISSING = object()
_REFERENCE = ("name", "key")
_SERVICE_ACCOUNT = ("name", "audiences")
#: The fields of an abstract configuration (https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.VaultIssuer).
_FIELDS: dict[str, tuple[str, ...]] = {
    "server": (),
    "path": (),
    "namespace": (),
    "caBundle": (),
    "caBundleSecretRef": _REFERENCE,
    "serverName": (),
    "clientCertSecretRef": _REFERENCE,
    "clientKeySecretRef": _REFERENCE,
    "auth": (),
    "auth.tokenSecretRef": _REFERENCE,
    "auth.appRole": ("path", "roleId"),
    "auth.appRole.secretRef": _REFERENCE,
    "auth.kubernetes": ("mountPath", "role"),
    "auth.kubernetes.secretRef": _REFERENCE,
    "auth.kubernetes.serviceAccountRef": _SERVICE_ACCOUNT,
    "auth.clientCertificate": ("mountPath", "name", "secretName"),
    "auth.aws": ("mountPath", "role", "region", "iamRoleArn", "vaultHeaderValue"),
    "auth.aws.serviceAccountRef": _SERVICE_ACCOUNT,
}
#: Field with the path of an auth method -> the value for the method that every session mounts at its default path.
MOUNTS = {
    "auth.appRole.path": "approle",
    "auth.kubernetes.mountPath": "/v1/auth/kubernetes",
    "auth.clientCertificate.mountPath": "/v1/auth/cert",
}
FIELDS = tuple(path for parent, parts in _FIELDS.items() for path in (parent, *(f"{parent}.{part}" for part in parts)))
#: Derived placeholder -> the field from which it is derived.
DERIVED = {
    "scheme": "server",
    "address": "server",
    "host": "server",
    "port": "server",
    "prefix": "server",
    "mount": "path",
    "role": "path",
    "endpoint": "path",
    "caPem": "caBundle",
    "auth.kubernetes.mount": "auth.kubernetes.mountPath",
    "auth.clientCertificate.mount": "auth.clientCertificate.mountPath",
    "auth.aws.mount": "auth.aws.mountPath",
}
#: Placeholders for the issuer object itself.
OBJECT_FIELDS = ("issuer.name", "issuer.namespace", "issuer.home", "issuer.kind")
PLACEHOLDERS = (*FIELDS, *DERIVED, *OBJECT_FIELDS)
#: What a `when` may name besides fields: the feature of a kind -> whether its objects have a namespace.
KIND_CONDITIONS = {"issuer": True, "cluster-issuer": False}
#: The most characters in a name: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/.
LONGEST_NAME = 253
#: A path is complete only if the objects have all of these; a missing endpoint means ``sign``.
_PARTS_OF_PATH = {"mount", "role", "endpoint"}


class InexpressibleError(UnsupportedError):
    """The shape of the implementation cannot express a part of a configuration; the test is unsupported.

    :ivar what: that part, such as ``auth.appRole.roleId``.
    """

    def __init__(self, what: str, why: str = "the shape has no field for it") -> None:
        super().__init__(
            f"the shape of the implementation cannot express {what}: {why}",
            hint="see docs/implementers.md, Other shapes",
        )
        self.what = what


@dataclass(frozen=True)
class Configuration:
    """The configuration of an issuer object, independent of its shape.

    :ivar api_version: API version of the issuer object; :ivar kind: its kind.
    :ivar name: its name; :ivar namespace: its namespace, '' for a cluster-scoped one.
    :ivar home: the namespace of the Secrets and ServiceAccounts that it refers to.
    :ivar vault: server, path, caBundle (base64) and so on, in the field names of cert-manager's API reference.
    """

    api_version: str
    kind: str
    name: str
    namespace: str
    home: str
    vault: Mapping[str, Any]

    @property
    def metadata(self) -> Object:
        """Name and namespace of the issuer object."""
        return {"name": self.name} | ({"namespace": self.namespace} if self.namespace else {})


class Shape(ABC):
    """Turns configurations into objects.

    :ivar own_fields: whether the objects use the field names of cert-manager's API reference.
    :ivar fixed: field of the configuration -> the only value that the implementation supports for it.
    """

    own_fields = False
    fixed: Mapping[str, str] = {}

    @abstractmethod
    def render(self, configuration: Configuration) -> list[Object]:
        """Return the objects for a configuration, the issuer object first.

        :raises InexpressibleError: if the shape cannot express all of it.
        """


def check_names(configuration: Configuration, objects: Iterable[Object]) -> None:
    """Check that the names of additional objects, which may contain that of the issuer object, are not too long.

    :raises InexpressibleError: for a longer name: the issuer object itself could have its name.
    """
    for item in objects:
        name = item["metadata"]["name"]
        if len(name) > LONGEST_NAME:
            raise InexpressibleError(
                f"a {configuration.kind} with a name of {len(configuration.name)} characters",
                f"its {item['kind']} would have a name of {len(name)}, and Kubernetes allows {LONGEST_NAME}",
            )


@dataclass(frozen=True)
class BlockShape(Shape):
    """The block of fields of cert-manager's API reference.

    :ivar vault_at: its path in the issuer object, such as ``("spec", "vault")``.
    """

    vault_at: tuple[str, ...]
    own_fields = True

    def render(self, configuration: Configuration) -> list[Object]:
        """Return the issuer object."""
        body = _body(configuration.api_version, configuration.kind, configuration.metadata)
        _put(body, self.vault_at, copy.deepcopy(dict(configuration.vault)))
        return [body]


@dataclass(frozen=True)
class FunctionShape(Shape):
    """A shape that calls a function of the implementation's author.

    :ivar name: name of the function, for messages.
    """

    name: str
    function: Callable[[Configuration], list[Object]]

    def render(self, configuration: Configuration) -> list[Object]:
        """Return the objects that the function returns.

        :raises ConfigurationError: if they are not a list of objects that starts with the issuer object.
        """
        objects = self.function(configuration)
        hint = "return a list of objects with apiVersion, kind and metadata.name, the issuer object first"
        if not isinstance(objects, list) or not objects or not all(map(_is_object, objects)):
            raise ConfigurationError(f"[issuer] render: {self.name} must return a list of objects", hint=hint)
        first = objects[0]
        if (first["apiVersion"], first["kind"], first["metadata"]["name"]) != (
            configuration.api_version,
            configuration.kind,
            configuration.name,
        ):
            raise ConfigurationError(
                f"[issuer] render: the first object of {self.name} must be {configuration.kind} {configuration.name}, "
                f"got {first['kind']} {first['metadata']['name']}",
                hint=hint,
            )
        return copy.deepcopy(objects)


def _is_object(item: object) -> bool:
    return (
        isinstance(item, dict)
        and {"apiVersion", "kind", "metadata"} <= item.keys()
        and isinstance(item["metadata"], dict)
        and isinstance(item["metadata"].get("name"), str)
    )


# -- the mapping of an implementation file ----------------------------------------------------------


@dataclass(frozen=True)
class Template:
    """One way to fill a field.

    :ivar value: a constant, or a string with placeholders such as ``{server}``.
    :ivar when: the field applies only to configurations that meet all these conditions: they have a field, or are of a
        kind (:data:`KIND_CONDITIONS`).
    :ivar default: the value if the configuration lacks a value for a placeholder; None leaves the field out.
    """

    value: Any
    when: tuple[str, ...] = ()
    default: Any = None

    def placeholders(self) -> list[str]:
        """Return the names between braces."""
        return placeholders.names(self.value, doubled=True) if isinstance(self.value, str) else []


@dataclass(frozen=True)
class ObjectTemplate:
    """Fields of one object: path -> the ways to fill it; the ways that apply must agree.

    :ivar api_version: '' for the issuer object, like `kind` and `name`.
    :ivar namespace: a template; '' for the namespace of the Secrets that the issuer object refers to.
    :ivar when: the object is created only for configurations that meet all these conditions, as for :class:`Template`.
    """

    fields: Mapping[tuple[str, ...], tuple[Template, ...]]
    api_version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    when: tuple[str, ...] = ()


@dataclass(frozen=True)
class MappingShape(Shape):
    """The shape that the tables below ``[issuer.shape]`` describe."""

    issuer: ObjectTemplate
    objects: tuple[ObjectTemplate, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)

    def render(self, configuration: Configuration) -> list[Object]:
        """Return the issuer object and the additional objects that apply."""
        values = _Values(configuration)
        first = _body(configuration.api_version, configuration.kind, configuration.metadata)
        _fill(first, self.issuer, values)
        rendered = [first]
        for template in self.objects:
            if not values.meet(template.when):
                continue
            metadata = {"name": values.text(template.name)}
            if template.namespace:
                metadata["namespace"] = values.text(template.namespace)
            rendered.append(_body(template.api_version, template.kind, metadata))
            _fill(rendered[-1], template, values)
        values.check_complete(self.fixed)
        return rendered


def read_mapping(table: Mapping[str, Any]) -> MappingShape:
    """Return the shape that ``[issuer.shape]`` describes.

    :raises ConfigurationError: if it is wrong; the message names the place.
    """
    place = "[issuer.shape]"
    _known_keys(place, table, ("fields", "objects", "fixed"))
    objects = table.get("objects", [])
    if not isinstance(objects, list) or not all(isinstance(item, dict) for item in objects):
        raise ConfigurationError(f"{place} objects must be tables", hint="write [[issuer.shape.objects]]")
    fixed = table.get("fixed", {})
    if not isinstance(fixed, dict) or not all(isinstance(value, str) for value in fixed.values()):
        raise ConfigurationError(f"{place} fixed must be a table of strings", hint='for example server = "…"')
    for name in fixed:
        if name not in FIELDS:
            raise ConfigurationError(f"{place} fixed: there is no field {name!r}", hint=meant(name, list(FIELDS)))
        if fixed[name] != MOUNTS.get(name, fixed[name]):
            raise ConfigurationError(
                f"{place} fixed: the suite has no auth method at {name} = {fixed[name]!r}",
                hint=f"let the controller use {MOUNTS[name]!r}, or give its issuer objects a field for the path",
            )
    issuer = ObjectTemplate(_read_fields(f"{place} fields", table.get("fields", {})))
    return MappingShape(issuer, tuple(_read_object(item, number) for number, item in enumerate(objects, 1)), fixed)


def _read_object(table: Mapping[str, Any], number: int) -> ObjectTemplate:
    place = f"[[issuer.shape.objects]] {number}:"
    texts = ("api_version", "kind", "name", "namespace")
    _known_keys(place, table, (*texts, "when", "fields"))
    given = {key: table.get(key, "") for key in texts}
    for key, value in given.items():
        if not isinstance(value, str):
            raise ConfigurationError(f"{place} {key} must be a string, got {value!r}", hint='for example name = "…"')
        if not value and key in ("api_version", "kind", "name"):
            raise ConfigurationError(f"{place} {key} is missing", hint=f'add {key} = "…"')
    for key in ("name", "namespace"):
        _check_template(f"{place} {key}", Template(given[key]))
    when = _read_when(place, table.get("when", []))
    return ObjectTemplate(_read_fields(f"{place} fields", table.get("fields", {})), when=when, **given)


def _read_fields(place: str, table: Any) -> dict[tuple[str, ...], tuple[Template, ...]]:
    if not isinstance(table, dict):
        raise ConfigurationError(f"{place} must be a table", hint='for example "spec.url" = "{server}"')
    found = {}
    for path, value in table.items():
        parts = tuple(part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", path))
        if not all(parts) or parts[0] in ("apiVersion", "kind", "status"):
            raise ConfigurationError(f"{place}: {path!r} cannot be a field", hint='for example "spec.url"')
        listed = value if isinstance(value, list) else [value]
        found[parts] = tuple(_read_template(f"{place}: {path!r}", item) for item in listed)
    for parts in found:
        for length in range(1, len(parts)):
            if parts[:length] in found:
                raise ConfigurationError(
                    f"{place}: {'.'.join(parts)!r} is inside {'.'.join(parts[:length])!r}, which has a value",
                    hint="give a value either to the whole or to its parts",
                )
    return found


def _read_template(place: str, value: Any) -> Template:
    if isinstance(value, dict):
        _known_keys(place, value, ("value", "when", "default"))
        if "value" not in value:
            raise ConfigurationError(f"{place} has no value", hint='for example { value = "…", when = "auth.appRole" }')
        template = Template(value["value"], _read_when(place, value.get("when", [])), value.get("default"))
    else:
        template = Template(value)
    _check_template(place, template)
    return template


def _read_when(place: str, when: Any) -> tuple[str, ...]:
    """Return the conditions of a ``when``: one, or a list of them that must all be met."""
    listed = when if isinstance(when, list) else [when]
    known = [*FIELDS, *KIND_CONDITIONS]
    for name in listed:
        if name not in known:
            raise ConfigurationError(
                f"{place} when: there is no field {name!r}",
                hint=meant(name, known) if isinstance(name, str) else "name a field, such as auth.appRole, or a kind",
            )
    return tuple(listed)


def _check_template(place: str, template: Template) -> None:
    if isinstance(template.value, str) and (brace := placeholders.single_brace(template.value)):
        raise ConfigurationError(f"{place}: a single {brace} in {template.value!r}", hint="write a literal brace twice")
    for name in template.placeholders():
        if name not in PLACEHOLDERS:
            raise ConfigurationError(f"{place}: there is no placeholder {name!r}", hint=meant(name, list(PLACEHOLDERS)))


def _known_keys(place: str, table: Any, known: Iterable[str]) -> None:
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{place} must be a table", hint="write its keys below it")
    for key in table:
        if key not in known:
            raise ConfigurationError(f"unknown key {key!r} in {place}", hint=meant(key, list(known)))


# -- rendering --------------------------------------------------------------------------------------


class _Values:
    """The values of placeholders for one configuration; records which parts of it the objects contain."""

    def __init__(self, configuration: Configuration) -> None:
        self._vault = configuration.vault
        self._about = {
            "issuer.name": configuration.name,
            "issuer.namespace": configuration.namespace or _MISSING,
            "issuer.home": configuration.home,
            "issuer.kind": configuration.kind,
        }
        self._written: set[str] = set()

    def meet(self, conditions: Sequence[str]) -> bool:
        """Whether the configuration meets all conditions of a ``when``; an empty field then counts as written."""
        fields = [condition for condition in conditions if condition not in KIND_CONDITIONS]
        namespaced = self._about["issuer.namespace"] is not _MISSING
        if any(KIND_CONDITIONS.get(condition, namespaced) is not namespaced for condition in conditions):
            return False
        found = {field: self._find(field) for field in fields}
        if _MISSING in found.values():
            return False
        self._written.update(field for field, value in found.items() if value == {})
        return True

    def _find(self, path: str) -> Any:
        found: Any = self._vault
        for part in path.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return _MISSING
            found = found[part]
        return found

    def value(self, template: Template) -> Any:
        """Return the value of a template; ``_MISSING`` if the configuration lacks a part of it."""
        if not self.meet(template.when):
            return _MISSING
        names = template.placeholders()
        found = {name: self._placeholder(name) for name in names}
        if _MISSING in found.values():
            return _MISSING if template.default is None else copy.deepcopy(template.default)
        self._written.update(names)
        if not isinstance(template.value, str):
            return copy.deepcopy(template.value)
        if names and template.value == f"{{{names[0]}}}":
            return copy.deepcopy(found[names[0]])
        return placeholders.fill(template.value, found.__getitem__, doubled=True)

    def text(self, template: str) -> str:
        """Return a name.

        :raises InexpressibleError: if the configuration lacks a part of it.
        """
        value = self.value(Template(template))
        if value is _MISSING:
            raise InexpressibleError(template, "the configuration does not contain it")
        return str(value)

    def _placeholder(self, name: str) -> Any:
        if name in self._about:
            return self._about[name]
        if name not in DERIVED:
            return self._find(name)
        source = self._find(DERIVED[name])
        if source is _MISSING or source == "":
            return source
        if DERIVED[name] == "path":
            return _part_of_path(str(source), name)
        if DERIVED[name] == "server":
            return _part_of_server(str(source), name)
        return _pem(source) if name == "caPem" else _mount(str(source), DERIVED[name])

    def check_complete(self, fixed: Mapping[str, str]) -> None:
        """Check that the objects contain the whole configuration.

        :raises InexpressibleError: if a part is missing; it names the first one.
        """
        for path, value in _leaves(self._vault):
            if path in fixed:
                if value != fixed[path]:
                    raise InexpressibleError(path, f"it is always {fixed[path]!r}")
            elif not self._is_written(path):
                raise InexpressibleError(path)

    def _is_written(self, path: str) -> bool:
        parents = [path[: match.start()] for match in re.finditer(r"\.", path)]
        if not self._written.isdisjoint((path, *parents)):
            return True
        if path == "server":
            return self._server_is_written()
        derived = {name for name, source in DERIVED.items() if source == path}
        if path != "path":
            return not self._written.isdisjoint(derived)
        missing = _PARTS_OF_PATH - self._written
        return not missing or (missing == {"endpoint"} and self._placeholder("endpoint") in ("sign", ""))

    def _server_is_written(self) -> bool:
        """Return whether the objects contain the whole URL; without a scheme it is https, without a prefix it has none.

        :raises InexpressibleError: if they contain another part of it; it names the missing part.
        """
        if "address" not in self._written and not {"host", "port"} <= self._written:
            return False
        for part, implied in (("scheme", "https"), ("prefix", "")):
            found = self._placeholder(part)
            if part not in self._written and found not in ("", implied):
                raise InexpressibleError(f"a server with the {part} {found!r}", f"it writes no {{{part}}}")
        return True


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and (value or path not in ("", "auth")):
        if not value:
            yield path, value
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif not isinstance(value, Mapping):
        yield path, value


def _part_of_path(path: str, part: str) -> str:
    """Return mount, endpoint or role of a sign path: ``<mount>/<endpoint>/<role>``."""
    mount, _, rest = path.rpartition("/sign/") if "/sign/" in path else path.rpartition("/sign-verbatim/")
    endpoint = path[len(mount) + 1 : len(path) - len(rest) - 1]
    if not mount or not rest or "/" in rest or mount.startswith("/"):
        raise InexpressibleError(f"the path {path!r}", "it is not <mount>/sign/<role>")
    return {"mount": mount, "endpoint": endpoint, "role": rest}[part]


def _part_of_server(server: str, part: str) -> str | int:
    """Return scheme, address (host and port as written), host, port or path prefix of a URL."""
    url = urlsplit(server)
    try:
        port = url.port or {"https": 443, "http": 80}[url.scheme]
    except (KeyError, ValueError) as error:
        raise InexpressibleError(f"the server {server!r}", "it is not a URL") from error
    parts = {"scheme": url.scheme, "address": url.netloc, "host": url.hostname or "", "prefix": url.path.rstrip("/")}
    return port if part == "port" else parts[part]


def _pem(bundle: Any) -> str:
    try:
        return base64.b64decode(str(bundle), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InexpressibleError("a caBundle that is not text", "the shape writes it as text") from error


def _mount(path: str, name: str) -> str:
    prefix, _, mount = path.partition("/v1/auth/")
    if prefix or not mount:
        raise InexpressibleError(f"{name} {path!r}", "it is not /v1/auth/<mount>")
    return mount


def _fill(body: Object, template: ObjectTemplate, values: _Values) -> None:
    for path, ways in template.fields.items():
        found = [value for value in map(values.value, ways) if value is not _MISSING]
        if any(value != found[0] for value in found[1:]):
            raise InexpressibleError(f"two values of {'.'.join(path)}", "the configuration requires both")
        if found:
            _put(body, path, found[0])


def _put(body: Object, path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        body = body.setdefault(part, {})
    body[path[-1]] = value


def _body(api_version: str, kind: str, metadata: Object) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": dict(metadata)}


# -- check that a shape can express the claimed features ------------------------------------------------


def _secret(key: str) -> dict[str, str]:
    return {"name": "absent", "key": key}


_KUBERNETES = {"mountPath": "/v1/auth/kubernetes", "role": "probe"}
#: Feature -> the part that it adds to a configuration of server, path and CA bundle (and, unless it is an
#: authentication method itself, a method).
_SAMPLES: dict[str, dict[str, Any]] = {
    "token": {"auth": {"tokenSecretRef": _secret("token")}},
    "approle": {"auth": {"appRole": {"path": "approle", "roleId": "probe", "secretRef": _secret("secretId")}}},
    "kubernetes-static": {"auth": {"kubernetes": _KUBERNETES | {"secretRef": _secret("token")}}},
    "kubernetes-secretless": {"auth": {"kubernetes": _KUBERNETES | {"serviceAccountRef": {"name": "absent"}}}},
    "client-certificate": {
        "auth": {"clientCertificate": {"mountPath": "/v1/auth/cert", "name": "probe", "secretName": "absent"}}
    },
    "aws": {
        "auth": {
            "aws": {
                "mountPath": "/v1/auth/aws",
                "role": "probe",
                "serviceAccountRef": {"name": "absent"},
                "iamRoleArn": "arn:aws:iam::123456789012:role/probe",
            }
        }
    },
    "ca-bundle-secret": {"caBundle": None, "caBundleSecretRef": _secret("ca.crt")},
    "server-name": {"serverName": "vault.example.test"},
    "mtls": {"clientCertSecretRef": _secret("tls.crt"), "clientKeySecretRef": _secret("tls.key")},
    "vault-namespace": {"namespace": "probe"},
}
_SAMPLES["jwt"] = _SAMPLES["kubernetes-secretless"]


def sample(features: Iterable[str], feature: str = "", *, server: str, ca_pem: str, shape: Shape) -> dict[str, Any]:
    """Return an abstract configuration whose Secrets, roles and paths do not exist.

    :param features: the features that the implementation claims; the first authentication method among them is used.
    :param feature: the feature that the configuration must use.
    """
    methods = [name for name in _SAMPLES if name in features and "auth" in _SAMPLES[name]]
    method = _SAMPLES[methods[0]] if methods else {}
    vault: dict[str, Any] = {
        "server": server,
        "path": "pki/sign/probe",
        "caBundle": base64.b64encode(ca_pem.encode()).decode() if ca_pem else None,
        **copy.deepcopy(method),
        **copy.deepcopy(_SAMPLES.get(feature, {})),
    }
    for path, value in shape.fixed.items():
        *parents, last = path.split(".")
        inner: Any = vault
        for part in parents:
            inner = inner.get(part) or {}
        if last in inner:
            inner[last] = value
    return {key: value for key, value in vault.items() if value is not None}


def check_expressible(shape: Shape, features: Iterable[str], api_version: str, kinds: Mapping[str, str]) -> None:
    """Check that a shape can express the features that an implementation claims, for each of its kinds.

    :param kinds: kind of issuer objects -> the namespace of one, '' if they are cluster-scoped.
    :raises ConfigurationError: if it cannot; the message names the feature and the missing field.
    """
    features = sorted(features)
    checked = ["", *(name for name in _SAMPLES if name in features)]
    for (kind, namespace), feature in itertools.product(kinds.items(), checked):
        vault = sample(features, feature, server="https://127.0.0.1", ca_pem="-----BEGIN CERTIFICATE-----", shape=shape)
        try:
            shape.render(Configuration(api_version, kind, "probe", namespace, "probe", vault))
        except InexpressibleError as error:
            what = f"the feature {feature} is claimed but " if feature else ""
            whose = f" of a {kind}" if list(kinds).index(kind) else ""
            other = f", or do not claim {feature}" if feature else ""
            if error.what == "caBundle":
                other = ', or write caBundle = "" in [issuer.shape.fixed] if it trusts its system trust store'
            raise ConfigurationError(
                f"{what}[issuer.shape] cannot express {error.what}{whose}",
                hint=f"add a field with {{{error.what}}}{other}",
            ) from error
