"""cert-manager's CustomResourceDefinitions, which are templates of a chart in its older releases."""

from __future__ import annotations

import pytest
import yaml

from pytest_vault_issuer.errors import ToolchainError
from pytest_vault_issuer.toolchain.crds import plain

#: The directives of 1.15 and 1.18, all of them.
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


def test_a_template_becomes_what_the_chart_installs() -> None:
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


def test_what_is_no_template_stays_as_it_is() -> None:
    text = "# a comment\nkind: CustomResourceDefinition\nspec: {}\n"
    assert plain(text, "things.yaml") == text


def test_unknown_directive_is_refused() -> None:
    with pytest.raises(ToolchainError, match=r"things\.yaml contains an unknown directive of Helm: served: \{\{"):
        plain("spec:\n  served: {{ .Values.served }}\n", "things.yaml")
