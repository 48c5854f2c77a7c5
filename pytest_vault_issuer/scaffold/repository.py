"""Detects a controller in the manifests of its repository: API group, kinds, service account, program and flags.

Names and namespaces are those that kustomize or Helm would produce. No program runs except helm, if it is installed,
because the author's machine may have none of the tools.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..implementation.manifests import KUSTOMIZATIONS
from ..implementation.spec import NAMESPACE
from ..inputs.documents import DocumentError, parse_documents
from ..inputs.files import text_of
from . import source as source_code

Object = dict[str, Any]
#: Folders that usually contain manifests, by precedence. Charts often repeat the objects of config/.
_FOLDERS = ("config", "deploy", "manifests", "install", "crds", "crd", "rbac", "charts", "chart", "helm", ".")
#: Never read: examples, tests, and third-party files.
_IGNORED = {
    "samples",
    "examples",
    "example",
    "e2e",
    "test",
    "tests",
    "testdata",
    "vendor",
    "node_modules",
    "ci",
    ".git",
}
#: Groups that a session installs itself.
_CONTRACT = {"cert-manager.io", "acme.cert-manager.io"}
#: The kinds of cert-manager.io by the resource whose status their controller writes.
_OWN_GROUP, _OWN_KINDS = "cert-manager.io", {"issuers/status": "Issuer", "clusterissuers/status": "ClusterIssuer"}
_WRITES = {"update", "patch", "*"}
#: The required fields: https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.VaultIssuer
_BLOCK = {"server", "path", "auth"}
_BINDINGS = {"RoleBinding", "ClusterRoleBinding"}
_SIDECARS = re.compile(r"kube-rbac-proxy|istio|linkerd")
_ADDRESS = re.compile(r"(?P<flag>--?[\w-]*(?:addr|address|port))=(?P<host>(?:[\w.]*|\[[\da-f:]*\]):)?(?P<port>\d+)")
_LEADER = re.compile(r"(?P<flag>--?(enable-)?leader-elect(ion)?)(?P<value>=.*)?")
#: The keys of a kustomization that change names.
_RENAMING = ("namespace", "namePrefix", "nameSuffix")
#: Seconds for helm to render a chart.
_HELM_LIMIT = 60


@dataclass(frozen=True)
class Detected:
    """The result of the detection; '' or () for each part that was not found.

    :ivar crds: files or folders, relative to the repository.
    :ivar vault_at: path of the Vault configuration in the issuer objects, if its fields are those of cert-manager.
    :ivar fields: paths of the fields of their spec, if these are others.
    :ivar own_fields: those of them that only one kind has -> the feature of this kind.
    :ivar columns: names of the printer columns that ``kubectl get`` shows for the issuer objects.
    :ivar service_account: ``namespace/name``.
    :ivar program: name of the program in the container; :ivar built: the file that ``make build`` writes for it.
    :ivar flags: its arguments, adapted to a local process, with those that only such a process needs.
    :ivar kubeconfig: whether it may have a flag for the kubeconfig; otherwise it reads KUBECONFIG.
    :ivar issuer_lib: whether it is built with cert-manager's issuer-lib; :ivar signer_type: the part before the slash
        of the signerName for its cluster-scoped kind, if issuer-lib's differs from the usual one.
    :ivar chart: folder of a Helm chart; :ivar chart_binds: whether its templates bind the service account.
    :ivar rbac: folder of the kustomization with its RBAC, which `overlay` changes.
    :ivar overlay: namespace, namePrefix and nameSuffix of the kustomization that installs everything.
    :ivar missing: descriptions of the parts that were not found.
    """

    api_version: str = ""
    kind: str = ""
    cluster_kind: str = ""
    crds: tuple[str, ...] = ()
    vault_at: str = ""
    fields: tuple[str, ...] = ()
    own_fields: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    service_account: str = ""
    program: str = ""
    built: str = ""
    flags: tuple[str, ...] = ()
    kubeconfig: bool = True
    issuer_lib: bool = False
    signer_type: str = ""
    chart: str = ""
    chart_binds: bool = False
    rbac: str = ""
    overlay: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """The objects of one file, or of a chart's templates."""

    file: Path
    objects: list[Object]
    templated: bool = False


def detect(directory: Path) -> Detected:
    """Read the manifests of a repository and return what they contain about the controller."""
    sources = list(_sources(directory))
    definitions = _issuer_definitions(sources)
    group = _group(definitions)
    chosen = {name: item for name, (_, item) in definitions.items() if item["spec"]["group"] == group}
    kinds = {scope: _kind(chosen.values(), scope) for scope in ("Namespaced", "Cluster")}
    version = _version(chosen.values())
    if not group and (served := _contract_kinds(sources)):
        group, version = _OWN_GROUP, "v1"
        kinds = {"Namespaced": served.get("issuers/status", ""), "Cluster": served.get("clusterissuers/status", "")}
    of_group = [
        (source, item)
        for source in sources
        for item in source.objects
        if _is_definition(item, {group} if chosen else set())
    ]
    deployment = _deployment(sources)
    folder, overlay = _overlay(directory)
    program, flags = _program(deployment[1], directory) if deployment else ("", ())
    vault_at, fields = _place(chosen.values())
    chart = next(_charts(directory), None)
    issuer_lib = source_code.uses_issuer_lib(directory)
    found = Detected(
        api_version=f"{group}/{version}" if group else "",
        kind=kinds["Namespaced"],
        cluster_kind=kinds["Cluster"],
        crds=_places(directory, of_group),
        vault_at=vault_at,
        fields=fields,
        own_fields=_own_fields(chosen.values()) if fields else {},
        columns=_columns(chosen.values()),
        service_account=_service_account(sources, deployment, group, overlay),
        program=program,
        built=source_code.built(directory, program),
        flags=(*flags, *source_code.flags(directory, program, flags)),
        kubeconfig=source_code.takes_kubeconfig(directory, program),
        issuer_lib=issuer_lib,
        signer_type=source_code.signer_type(directory, group, kinds["Cluster"]) if issuer_lib else "",
        rbac=_rbac(directory, folder, overlay),
        overlay={key: str(overlay[key]) for key in _RENAMING if overlay.get(key)},
        chart=chart.relative_to(directory).as_posix() if chart else "",
        chart_binds=any(
            item["kind"] in _BINDINGS
            for source in sources
            if chart and source.file == chart / "templates"
            for item in source.objects
        ),
    )
    return replace(found, missing=tuple(_missing(found)))


def _missing(found: Detected) -> Iterator[str]:
    if not found.api_version:
        yield (
            "API group and kinds: no CustomResourceDefinition of a kind whose name ends with Issuer, and no Role that "
            "writes the status of cert-manager.io's issuer objects; the file assumes these. A controller without "
            "issuer objects, configured by flags, cannot be judged"
        )
    elif not found.crds and not _is_contract(found):
        yield "files of the CRDs: only templates of a chart define them; write [run] chart"
    if found.fields:
        yield "path of the Vault configuration: the CRDs have no server, path and auth; write [issuer.shape]"
    if found.api_version and not found.columns and not _is_contract(found):
        yield "printer columns: the CRDs define none"
    if not found.service_account:
        yield "service account: neither a Deployment nor a binding names one"
    if not found.program:
        yield "program and flags: there is no Deployment"


def _is_contract(found: Detected) -> bool:
    """Whether the kinds are those of cert-manager.io, whose CustomResourceDefinitions every session installs."""
    return found.api_version.partition("/")[0] == _OWN_GROUP


# -- reading ---------------------------------------------------------------------------------------------------


def _sources(directory: Path) -> Iterator[_Source]:
    seen: set[Path] = set()
    charts = list(_charts(directory))
    for folder in (directory / name for name in _FOLDERS):
        pattern = "*.y*ml" if folder == directory / "." else "**/*.y*ml"
        for file in sorted(folder.glob(pattern)) if folder.is_dir() else ():
            parts = set(file.relative_to(directory).parts[:-1])
            if file in seen or parts & _IGNORED or file.suffix not in (".yaml", ".yml"):
                continue
            seen.add(file)
            chart = next((chart for chart in charts if file.is_relative_to(chart / "templates")), None)
            if chart is None and file.name not in KUSTOMIZATIONS and file.name not in ("Chart.yaml", "values.yaml"):
                yield _Source(file, _parse(text_of(file)))
    for chart in charts:
        yield _Source(chart / "templates", _rendered(chart), templated=True)


def _charts(directory: Path) -> Iterator[Path]:
    for file in sorted(directory.rglob("Chart.yaml")):
        if not set(file.relative_to(directory).parts[:-1]) & _IGNORED:
            yield file.parent


def _overlay(directory: Path) -> tuple[Path, Object]:
    """Return the kustomization that installs everything, with its folder: kubebuilder's is config/default."""
    overlays = list(_overlays(directory))
    first = overlays[0] if overlays else (directory, {})
    return next(((folder, item) for folder, item in overlays if folder.name == "default"), first)


def _rbac(directory: Path, folder: Path, overlay: Object) -> str:
    """Return the kustomization with the RBAC that an overlay installs; '' for none."""
    for name in [*(overlay.get("resources") or []), *(overlay.get("bases") or [])]:
        base = (folder / str(name)).resolve()
        if base.name == "rbac" and base.is_relative_to(directory.resolve()) and _is_kustomization(base):
            return base.relative_to(directory.resolve()).as_posix()
    return ""


def _is_kustomization(folder: Path) -> bool:
    return any((folder / name).is_file() for name in KUSTOMIZATIONS)


def _overlays(directory: Path) -> Iterator[tuple[Path, Object]]:
    """Yield the kustomizations that set a namespace or a prefix."""
    for name in KUSTOMIZATIONS:
        for file in sorted(directory.rglob(name)):
            for item in _parse(text_of(file), every=True):
                if any(item.get(key) for key in _RENAMING):
                    yield file.parent, item


def _parse(text: str, *, every: bool = False) -> list[Object]:
    """Return the objects in a file; [] for a file that is no manifest. `every`: mappings without a kind, too."""
    try:
        documents = [document for document in parse_documents(text.encode()) if isinstance(document, dict)]
    except DocumentError:
        return []
    return [item for item in documents if every or _is_object(item)]


def _is_object(item: Object) -> bool:
    """Whether the parts of a mapping that are read here have the form of a Kubernetes object."""
    return (
        isinstance(item.get("kind"), str)
        and isinstance(item.get("metadata"), dict)
        and isinstance(item.get("spec", {}), dict)
        and all(isinstance(rule, dict) for key in ("rules", "subjects") for rule in item.get(key) or [])
    )


# -- Helm ------------------------------------------------------------------------------------------------------


def _rendered(chart: Path) -> list[Object]:
    """Return the objects of a chart for a release, and a namespace, with the chart's name."""
    name = _chart_name(chart)
    if (helm := shutil.which("helm")) is not None:
        # Neither the name nor the folder of a chart may be an option: helm has some that run programs.
        command = [helm, "template", f"--namespace={name}", "--include-crds", "--", name, str(chart.absolute())]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_HELM_LIMIT, check=True)
        except (OSError, subprocess.SubprocessError):
            pass  # for example if dependencies of the chart are missing; read what is readable
        else:
            return _parse(done.stdout)
    values = next(iter(_parse(text_of(chart / "values.yaml"), every=True)), {})
    found: list[Object] = []
    for file in sorted((chart / "templates").rglob("*.y*ml")):
        for document in re.split(r"^---\s*$", _filled(text_of(file), name, values), flags=re.MULTILINE):
            found += _parse(document)
    return found


def _chart_name(chart: Path) -> str:
    """Return the name of a chart; of one with an invalid name, a valid one."""
    about = next(iter(_parse(text_of(chart / "Chart.yaml"), every=True)), {})
    name = str(about.get("name") or chart.name)
    return name if NAMESPACE.fullmatch(name) else "release"


def _filled(template: str, name: str, values: Object) -> str:
    """Return a template as YAML: without lines of only directives, and with the values of usual expressions."""
    template = re.sub(r"\{\{-?\s*/\*.*?\*/\s*-?\}\}", "", template, flags=re.DOTALL)
    lines = [line for line in template.splitlines() if not re.fullmatch(r"\s*(-\s+)?(\{\{((?!\}\}).)*\}\}\s*)+", line)]
    return re.sub(r"\{\{-?\s*(.*?)\s*-?\}\}", lambda found: _value(found[1], name, values), "\n".join(lines))


def _value(expression: str, name: str, values: Object) -> str:
    head = expression.split("|")[0].strip()
    if head == ".Release.Namespace" or head == ".Release.Name" or head == ".Chart.Name":
        return name
    if found := re.match(r'(?:include|template)\s+"([^"]+)"', head):
        helper = found[1].rpartition(".")[2].lower()
        if "serviceaccount" in helper:
            return str(_at(values, "serviceAccount.name") or name)
        return name if "name" in helper else "x"
    if found := re.match(r"\$?\.Values\.([\w.]+)", head):
        value = _at(values, found[1])
        return _as_helm_writes(value) if isinstance(value, str | int | float) else "x"
    return "x"


def _as_helm_writes(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _at(values: Object, path: str) -> Any:
    value: Any = values
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


# -- CustomResourceDefinitions ---------------------------------------------------------------------------------


def _is_definition(item: Object, groups: set[str] | None = None) -> bool:
    if item.get("kind") != "CustomResourceDefinition" or not isinstance(item.get("spec"), dict):
        return False
    group = item["spec"].get("group")
    return isinstance(group, str) and group not in _CONTRACT and (groups is None or group in groups)


def _names(item: Object) -> Object:
    names = item["spec"].get("names")
    return names if isinstance(names, dict) else {}


def _issuer_definitions(sources: Iterable[_Source]) -> dict[str, tuple[_Source, Object]]:
    """Return the definitions of issuer kinds by name, each from the first source that contains it."""
    found: dict[str, tuple[_Source, Object]] = {}
    for source in sources:
        for item in source.objects:
            if _is_definition(item) and str(_names(item).get("kind", "")).endswith("Issuer"):
                found.setdefault(f"{_names(item).get('plural')}.{item['spec']['group']}", (source, item))
    return found


def _group(definitions: dict[str, tuple[_Source, Object]]) -> str:
    """Return the group with the most issuer kinds; the first one if several have as many."""
    groups = [item["spec"]["group"] for _, item in definitions.values()]
    return max(groups, key=groups.count, default="")


def _kind(definitions: Iterable[Object], scope: str) -> str:
    kinds = [str(_names(item)["kind"]) for item in definitions if item["spec"].get("scope", "Namespaced") == scope]
    return min(kinds, key=lambda kind: (len(kind), kind), default="")


def _versions(item: Object) -> list[Object]:
    versions = item["spec"].get("versions") or [{"name": item["spec"].get("version", "v1"), "storage": True}]
    return [version for version in versions if isinstance(version, dict)]


def _version(definitions: Iterable[Object]) -> str:
    """Return the storage version."""
    for item in definitions:
        for version in _versions(item):
            if version.get("storage"):
                return str(version["name"])
    return "v1"


def _place(definitions: Iterable[Object]) -> tuple[str, tuple[str, ...]]:
    """Return the path of the object with cert-manager's fields in all kinds, or the fields of the spec without it.

    :return: ('', ()) if the CRDs do not show the fields.
    """
    schemas = [spec for item in definitions if (spec := _spec_schema(item))]
    places = [list(_block_places(spec, "spec")) for spec in schemas]
    common = [place for place in next(iter(places), []) if all(place in others for others in places)]
    if common:
        return common[0], ()
    return "", tuple(dict.fromkeys(path for spec in schemas for path in _leaves(spec, "spec")))


def _own_fields(definitions: Iterable[Object]) -> dict[str, str]:
    """Return the fields of the spec that only one of two kinds has, and the feature of this kind."""
    of_scope: dict[str, dict[str, None]] = {}
    for item in definitions:
        fields = dict.fromkeys(_leaves(_spec_schema(item), "spec"))
        of_scope.setdefault(item["spec"]["scope"], {}).update(fields)
    features = {"Namespaced": "issuer", "Cluster": "cluster-issuer"}
    return {
        path: features[scope]
        for scope, fields in of_scope.items()
        for path in fields
        if scope in features and sum(path in others for others in of_scope.values()) < len(of_scope)
    }


def _leaves(properties: Object, path: str) -> Iterator[str]:
    """Yield the paths of the fields that have no fields themselves."""
    for name, schema in properties.items():
        here = f"{path}.{str(name).replace('.', chr(92) + '.')}"
        if inner := _properties(schema):
            yield from _leaves(inner, here)
        else:
            yield here


def _spec_schema(item: Object) -> Object:
    """Return the properties of the spec in the storage version, {} if there are none."""
    for version in _versions(item):
        if version.get("storage"):
            schema = (version.get("schema") or item["spec"].get("validation") or {}).get("openAPIV3Schema")
            return _properties(_properties(schema).get("spec"))
    return {}


def _properties(schema: Any) -> Object:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else {}


def _block_places(properties: Object, path: str) -> Iterator[str]:
    """Yield the paths of the objects that have the required fields of cert-manager's Vault configuration."""
    if properties.keys() >= _BLOCK:
        yield path
    for name, schema in properties.items():
        yield from _block_places(_properties(schema), f"{path}.{name}")


def _columns(definitions: Iterable[Object]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for item in definitions:
        for version in _versions(item):
            for column in version.get("additionalPrinterColumns") or item["spec"].get("additionalPrinterColumns") or []:
                names[str(column.get("name", ""))] = None
    return tuple(filter(None, names))


def _places(directory: Path, definitions: Iterable[tuple[_Source, Object]]) -> tuple[str, ...]:
    """Return the files with the definitions, or their folder if it contains no others; each definition once."""
    seen: set[str] = set()
    files: dict[Path, None] = {}
    for source, item in definitions:
        name = f"{_names(item).get('plural')}.{item['spec']['group']}"
        if name not in seen and not source.templated:
            seen.add(name)
            files[source.file] = None
    folders = {file.parent for file in files}
    if len(folders) == 1 and (folder := folders.pop()) != directory and set(folder.glob("*.y*ml")) == set(files):
        return (folder.relative_to(directory).as_posix(),)
    return tuple(file.relative_to(directory).as_posix() for file in files)


def _contract_kinds(sources: Iterable[_Source]) -> dict[str, str]:
    """Return the kinds of cert-manager.io whose status a Role lets the controller write, by that resource."""
    return {
        resource: _OWN_KINDS[resource]
        for source in sources
        for item in source.objects
        if item["kind"] in ("Role", "ClusterRole")
        for rule in item.get("rules") or []
        if _OWN_GROUP in (rule.get("apiGroups") or []) and _WRITES & set(rule.get("verbs") or [])
        for resource in rule.get("resources") or []
        if resource in _OWN_KINDS
    }


# -- Deployment and service account ----------------------------------------------------------------------------


def _pod(item: Object) -> Object:
    spec = (((item.get("spec") or {}).get("template") or {}).get("spec")) or {}
    return spec if isinstance(spec, dict) else {}


def _containers(item: Object) -> list[Object]:
    found = [container for container in _pod(item).get("containers") or [] if isinstance(container, dict)]
    return [one for one in found if not _SIDECARS.search(f"{one.get('name')} {one.get('image')}")]


def _deployment(sources: Iterable[_Source]) -> tuple[_Source, Object] | None:
    """Return the controller's Deployment: the first one with an image; a patch has none."""
    for source in sources:
        for item in source.objects:
            is_patch = "selector" not in (item.get("spec") or {})
            if item["kind"] == "Deployment" and not is_patch and any(one.get("image") for one in _containers(item)):
                return source, item
    return None


def _program(item: Object, directory: Path) -> tuple[str, tuple[str, ...]]:
    container = next((one for one in _containers(item) if one.get("image")), {})
    words = [str(word) for key in ("command", "args") for word in container.get(key) or []]
    # Without a command, the first argument may be a program that the image's entry point starts.
    named = container.get("command") or (words and re.fullmatch(r"(/[\w.-]+)+", words[0]))
    program = words.pop(0).rpartition("/")[2] if named else ""
    flags = (_flag(word) for word in words)
    program = program or source_code.entrypoint(directory) or str(container.get("name", ""))
    return program, tuple(filter(None, flags))


def _flag(word: str) -> str:
    """Return an argument for a single process that shares the ports of the machine; '' to leave it out."""
    if found := _LEADER.fullmatch(word):
        # Without a value it turns on what is off by default; with one, the default may be on.
        return f"{found['flag']}=false" if found["value"] else ""
    if found := _ADDRESS.fullmatch(word):
        return f"{found['flag']}={source_code.loopback(found['host'] or '')}{{free_port}}"
    # A value that a pod gets from its environment: https://kubernetes.io/docs/tasks/inject-data-application/
    return re.sub(r"\$\(POD_NAMESPACE\)", "{cluster_resource_namespace}", word)


def _service_account(
    sources: list[_Source], deployment: tuple[_Source, Object] | None, group: str, overlay: Object
) -> str:
    """Return the service account of the Deployment, else the subject of a binding to a role for the group."""
    name, namespace, templated = "", "", False
    if deployment is not None:
        source, item = deployment
        templated = source.templated
        name = str(_pod(item).get("serviceAccountName") or "default")
        namespace = str(item["metadata"].get("namespace") or (_chart_name(source.file.parent) if templated else ""))
    elif (subject := _subject(sources, group)) is not None:
        name, namespace = str(subject["name"]), str(subject.get("namespace") or "")
        templated = all(source.templated for source in sources)
    if not name:
        return ""
    if not templated:
        name, namespace = _after_kustomize(sources, overlay, name, namespace)
    return f"{namespace or 'default'}/{name}"


def _subject(sources: Iterable[_Source], group: str) -> Object | None:
    roles = {
        str(item["metadata"].get("name"))
        for source in sources
        for item in source.objects
        if item["kind"] in ("Role", "ClusterRole")
        for rule in item.get("rules") or []
        if group in (rule.get("apiGroups") or []) and any("/status" in name for name in rule.get("resources") or [])
    }
    for source in sources:
        for item in source.objects:
            if item["kind"] in _BINDINGS and (item.get("roleRef") or {}).get("name") in roles:
                for subject in item.get("subjects") or []:
                    if subject.get("kind") == "ServiceAccount" and subject.get("name"):
                        return dict(subject)
    return None


def _after_kustomize(sources: list[_Source], overlay: Object, name: str, namespace: str) -> tuple[str, str]:
    """Return the name and namespace that the kustomization that installs everything gives to a service account.

    Kustomize renames a service account only if it is one of its resources, so not ``default``.
    """
    declared = any(
        item["kind"] == "ServiceAccount" and item["metadata"].get("name") == name
        for source in sources
        if not source.templated
        for item in source.objects
    )
    if not overlay:
        return name, namespace
    if declared:
        name = f"{overlay.get('namePrefix') or ''}{name}{overlay.get('nameSuffix') or ''}"
    return name, str(overlay.get("namespace") or namespace)
