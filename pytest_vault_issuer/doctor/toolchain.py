"""Checks whether the components are built, or can be built."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests

from ..errors import ToolchainError
from ..toolchain import CRDS, KUBERNETES, Component, Toolchain
from ..toolchain.go import fetching, find_go
from .finding import ABSENT, BROKEN, OK, Finding

#: Seconds to wait for the answer of a module proxy.
_ANSWER = 10.0
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


def examine_building(toolchain: Toolchain, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Check the components and, if some are missing, everything that their build needs."""
    assets = environment.get("KUBEBUILDER_ASSETS", "")
    findings = [_assets(Path(assets))] if assets else []
    given = {name for name in KUBERNETES if assets and (Path(assets) / name).is_file()}
    missing = toolchain.missing(name for name in (*KUBERNETES, "vault", CRDS) if name not in given)
    for status in toolchain.status():
        if status.chosen:
            findings.append(
                _component(toolchain.components[status.component], status.built, status.component in missing)
            )
    go, found = _go(toolchain, missing, environment)
    findings.append(go)
    findings.append(_disk(toolchain, missing))
    findings.append(_proxies(environment))
    if missing and found is not None:
        findings.append(_modules(toolchain, missing, found))
    return findings


def _component(component: Component, built: bool, needed: bool) -> Finding:
    subject = f"{component.name} {component.version}"
    if built:
        return Finding(subject, OK, "built", "")
    which = "the first session builds it" if needed else "the first session that needs it builds it"
    fix = f"vault-issuer toolchain build {component.name if component.is_optional else ''}".rstrip()
    return Finding(subject, OK, f"not built: {which}, about {component.minutes:g} min on 2 cores", fix)


def _assets(directory: Path) -> Finding:
    absent = [name for name in ("etcd", "kube-apiserver") if shutil.which(str(directory / name)) is None]
    if absent:
        return Finding(
            "KUBEBUILDER_ASSETS",
            BROKEN,
            f"{directory} has no executable {' and no executable '.join(absent)}",
            "unset the variable, or set it to the output of: setup-envtest use -p path",
        )
    own = "" if (directory / "kube-controller-manager").is_file() else "; kube-controller-manager from the toolchain"
    return Finding("KUBEBUILDER_ASSETS", OK, f"etcd and kube-apiserver from {directory}{own}")


def _go(toolchain: Toolchain, missing: list[str], environment: Mapping[str, str]) -> tuple[Finding, Path | None]:
    needed = max(component.go_version for component in toolchain.components.values())
    try:
        path = find_go(needed, dict(environment))
    except ToolchainError as error:
        if missing:
            return Finding("Go", BROKEN, error.message, error.hint), None
        return Finding("Go", ABSENT, f"{error.message}; nothing needs a build now", error.hint), None
    return Finding("Go", OK, str(path)), path


def _disk(toolchain: Toolchain, missing: list[str]) -> Finding:
    place = toolchain.cache
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    needed = sum(toolchain.components[name].peak for name in missing) * 10**6
    detail = f"{free / 10**9:.1f} GB free for {toolchain.cache}"
    if not os.access(place, os.W_OK) and missing:
        return Finding("cache", BROKEN, f"{place} is not writable", "name another directory in VAULT_ISSUER_CACHE")
    if free < needed:
        return Finding(
            "cache",
            BROKEN,
            f"{detail}, a build needs {needed / 10**9:.1f} GB",
            "free disk space, or name a directory on another disk in VAULT_ISSUER_CACHE",
        )
    return Finding("cache", OK, detail)


def _proxies(environment: Mapping[str, str]) -> Finding:
    """List the network proxies that are set, without credentials in their addresses."""
    named = {name: environment.get(name) or environment.get(name.lower()) for name in _PROXIES}
    found = [f"{name}={value if name == 'NO_PROXY' else without_user(value)}" for name, value in named.items() if value]
    if not found:
        return Finding("network proxies", OK, "none")
    return Finding("network proxies", OK, f"{', '.join(found)}: only builds use them")


def _modules(toolchain: Toolchain, missing: list[str], go: Path) -> Finding:
    component = toolchain.components[missing[0]]
    subject = "Go module proxy"
    fix = "check the network, HTTPS_PROXY and GOPROXY"
    try:
        first = fetching(go).get("GOPROXY", "").replace("|", ",").split(",")[0]
    except ToolchainError as error:
        return Finding(subject, BROKEN, error.message, error.hint)
    if not first.startswith(("https://", "http://")):
        return Finding(subject, OK, f"GOPROXY={first}: not a URL, so the doctor did not try it")
    path = "".join(f"!{letter.lower()}" if letter.isupper() else letter for letter in component.upstream)
    try:
        status = requests.get(f"{first}/{path}/@v/{component.version}.info", timeout=_ANSWER).status_code
    except requests.RequestException as error:
        return Finding(subject, BROKEN, f"{without_user(first)} does not answer: {type(error).__name__}", fix)
    if status != 200:
        detail = f"{without_user(first)} answers {status} for {component.upstream} {component.version}"
        return Finding(subject, BROKEN, detail, "name a proxy that has it in GOPROXY")
    return Finding(subject, OK, f"{without_user(first)} serves {component.upstream} {component.version}")


def without_user(address: str) -> str:
    """Return an address without the user and password that it may contain."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return shown.removeprefix("//")
