"""Which versions of the components a run builds and uses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pytest_vault_issuer.run import Run, RunKey
from pytest_vault_issuer.settings import Settings
from pytest_vault_issuer.stack.selection import choose, needed
from pytest_vault_issuer.toolchain import COMPONENTS, Toolchain, find

OLDEST = {component.name: component for component in COMPONENTS}
FILE = """
[implementation]
name = "mine"
version = "1"
contract = "1.15"
[features]
all = true
"""


def run(**settings: Any) -> Run:
    return Run(Settings(**settings), RunKey.new(), lambda line: None)


def lines(toolchain: Toolchain) -> dict[str, str]:
    return {name: component.line for name, component in toolchain.components.items()}


NEWEST = {name: find(name).line for name in OLDEST}


def test_nothing_asked_for_is_the_newest_of_each() -> None:
    assert lines(run().toolchain) == NEWEST
    assert lines(run(implementation="cert-manager").toolchain) == NEWEST


def test_the_implementation_chooses_the_release_and_options_the_rest() -> None:
    asked = {f"{name}_version": OLDEST[name].line for name in ("vault", "kubernetes")}
    chosen = run(implementation=f"cert-manager@{OLDEST['cert-manager'].line}", **asked).toolchain
    assert lines(chosen) == {name: component.line for name, component in OLDEST.items()}


def test_an_issuer_that_follows_an_older_release_gets_the_newest_types(tmp_path: Path) -> None:
    """Its contract says what is asked of it; a release of cert-manager is not built for that."""
    (tmp_path / "mine.toml").write_text(FILE)
    assert lines(run(implementation=str(tmp_path / "mine.toml")).toolchain) == NEWEST


def test_only_what_the_run_needs_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def build(self: Toolchain, components: Iterable[str], **_: Any) -> None:
        built.extend(f"{name} {self.components[name].line}" for name in components)

    monkeypatch.setattr(Toolchain, "build", build)
    run(implementation="cert-manager@1.18").build()
    assert built == [f"kubernetes {NEWEST['kubernetes']}", f"vault {NEWEST['vault']}", "cert-manager 1.18"]
    built.clear()
    run(implementation="cert-manager@1.18", kubeconfig=Path("k"), vault_addr="https://vault.test").build()
    assert built == ["cert-manager 1.18"]


def test_the_header_says_which_versions_will_be_built() -> None:
    one = run(implementation="cert-manager@1.15", vault_binary=Path("bao"))
    assert needed(one.settings, one.toolchain) == ["kubernetes", "cert-manager"]
    _, reason = choose(one.settings, one.toolchain)
    assert reason == f"after building kubernetes {find('kubernetes').version}, cert-manager v1.15.3"
