"""cert-manager's CustomResourceDefinitions, which are templates of a chart in older releases."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import ship_crds
import yaml

from pytest_vault_issuer.errors import ToolchainError
from pytest_vault_issuer.toolchain import CRDS, Component, Toolchain
from pytest_vault_issuer.toolchain.crds import plain

#: All template directives of 1.15 and 1.18.
TEMPLATE = """\
# {{- include "cert-manager.crd-check" . }}
# START crd {{- if or .Values.crds.enabled .Values.installCRDs }}
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: things.cert-manager.io
  # START annotations {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  # END annotations {{- end }}
  labels:
    app: '{{ template "cert-manager.name" . }}'
    app.kubernetes.io/instance: '{{ .Release.Name }}'
    # Generated labels {{- include "labels" . | nindent 4 }}
spec: {}
# END crd {{- end }}
"""


def test_template_is_rendered_as_the_chart_does() -> None:
    assert yaml.safe_load(plain(TEMPLATE, "things.yaml")) == {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "things.cert-manager.io",
            "annotations": {"helm.sh/resource-policy": "keep"},
            "labels": {"app": "cert-manager", "app.kubernetes.io/instance": "cert-manager"},
        },
        "spec": {},
    }
    assert "{{" not in plain(TEMPLATE, "things.yaml")


def test_file_that_is_not_a_template_stays_unchanged() -> None:
    text = "# a comment\nkind: CustomResourceDefinition\nspec: {}\n"
    assert plain(text, "things.yaml") == text


def test_unknown_directive_is_refused() -> None:
    with pytest.raises(ToolchainError, match=r"things\.yaml contains an unknown directive of Helm: served: \{\{"):
        plain("spec:\n  served: {{ .Values.served }}\n", "things.yaml")


def crds_component(tmp_path: Path) -> Component:
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("require up v1.2.3\n")
    return Component(CRDS, module, {}, "up", crds="deploy/crds")


def test_crds_in_the_package_need_no_build(tmp_path: Path) -> None:
    component = crds_component(tmp_path)
    place = tmp_path / "shipped" / "v1.2.3"
    place.mkdir(parents=True)
    (place / "things.yaml").write_text("kind: CustomResourceDefinition\n")
    toolchain = Toolchain(tmp_path / "cache", [component], shipped_crds=tmp_path / "shipped")
    assert toolchain.missing([CRDS]) == []
    assert toolchain.crds() == place
    toolchain.build(progress=lambda line: pytest.fail(line))
    (status,) = toolchain.status()
    assert (status.built, status.source, status.place) == (True, "package", place)
    assert not (tmp_path / "cache").exists()


def test_crds_of_another_release_are_not_used(tmp_path: Path) -> None:
    place = tmp_path / "shipped" / "v1.2.4"
    place.mkdir(parents=True)
    (place / "things.yaml").write_text("kind: CustomResourceDefinition\n")
    toolchain = Toolchain(tmp_path / "cache", [crds_component(tmp_path)], shipped_crds=tmp_path / "shipped")
    assert toolchain.missing([CRDS]) == [CRDS]
    assert toolchain.crds() is None


def test_distribution_without_crds_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for version in ship_crds.VERSIONS[1:]:
            archive.writestr(f"pytest_vault_issuer/toolchain/shipped_crds/{version}/things.yaml", "")
    assert ship_crds.missing(wheel) == ship_crds.VERSIONS[:1]
