"""Checks whether the components are there, or can be downloaded or built."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests

from ..errors import ToolchainError
from ..toolchain import CRDS, KUBERNETES, ComponentStatus, Toolchain
from ..toolchain.downloads import Download
from ..toolchain.fetch import host_of, unreachable
from ..toolchain.go import fetching, find_go
from ..toolchain.sources import MIRROR, MISSING, at_mirror
from ..toolchain.sources import VARIABLE as SOURCES_VARIABLE
from .machine import ABSENT, BROKEN, OK, Finding

#: Seconds to wait for the answer of a module proxy.
_ANSWER = 10.0
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


def examine_building(toolchain: Toolchain, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Check the components and, if some are missing, everything that their download or build needs."""
    assets = environment.get("KUBEBUILDER_ASSETS", "")
    findings = [_assets(Path(assets))] if assets else []
    given = {name for name in KUBERNETES if assets and (Path(assets) / name).is_file()}
    missing = toolchain.missing(name for name in (*KUBERNETES, "vault", CRDS) if name not in given)
    for status in toolchain.status():
        if status.chosen:
            findings.append(_component(toolchain, status, status.component in missing))
    to_build = missing
    if downloads := [found[0] for name in missing if (found := toolchain.pinned_downloads(toolchain.components[name]))]:
        reachable = _downloads(downloads)
        findings.append(reachable)
        if reachable.state == OK:
            to_build = [name for name in missing if name not in {download.name for download in downloads}]
    go, found_go = _go(toolchain, to_build, environment)
    findings.append(go)
    findings.append(_disk(toolchain, to_build))
    findings.append(_proxies(environment))
    if to_build and found_go is not None:
        findings.append(_modules(toolchain, to_build, found_go))
    return findings


def _component(toolchain: Toolchain, status: ComponentStatus, needed: bool) -> Finding:
    component = toolchain.components[status.component]
    subject = f"{component.name} {status.version if status.built else component.version}"
    source = toolchain.described_source(component.products[0])
    if status.built or source.startswith("wheel"):
        return Finding(subject, OK, source, "")
    which = "the first session" if needed else "the first session that needs it"
    fix = f"vault-issuer toolchain build {component.name if component.is_optional else ''}".rstrip()
    if downloads := toolchain.pinned_downloads(component):
        detail = f"{which} downloads {downloads[0].version} of it from {_host(downloads[0])}"
    elif source == MISSING:
        detail = f"no source of it is allowed by {SOURCES_VARIABLE}"
        return Finding(subject, BROKEN if needed else ABSENT, detail, f"allow more sources in {SOURCES_VARIABLE}")
    else:
        detail = f"{which} builds it, about {component.minutes:g} min on 2 cores"
    return Finding(subject, OK, f"not there: {detail}", fix)


def _host(download: Download) -> str:
    address = at_mirror(download.archive.url or f"https://{download.archive.image}")
    return host_of(address) if "://" in address else address


def _downloads(downloads: list[Download]) -> Finding:
    """Check that a server answers for the first download; the others may be on other servers."""
    names = ", ".join(f"{download.name} {download.version}" for download in downloads)
    archive = downloads[0].archive
    address = at_mirror(archive.url or f"https://{archive.image.partition('/')[0]}/v2/")
    if "://" not in address:
        found = Path(address).exists()
        reason = "" if found else f"{address} does not exist"
    else:
        reason = unreachable(address)
    if reason:
        return Finding("downloads", ABSENT, f"{reason}: builds replace {names}", f"check the network, or set {MIRROR}")
    return Finding("downloads", OK, f"{_host(downloads[0])} answers, for {names}")


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
    return Finding("network proxies", OK, f"{', '.join(found)}: only downloads and builds use them")


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
        return Finding(subject, BROKEN, detail, "name a proxy that serves it in GOPROXY")
    return Finding(subject, OK, f"{without_user(first)} serves {component.upstream} {component.version}")


def without_user(address: str) -> str:
    """Return an address without the user and password that it may contain."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return shown.removeprefix("//")
