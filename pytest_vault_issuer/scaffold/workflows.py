"""CI workflows that judge a controller: GitHub Actions, GitLab CI."""

from __future__ import annotations

import json
import shlex

from .answers import Answers

GITHUB_FILE = ".github/workflows/vault-issuer.yml"
GITLAB_FILE = "vault-issuer.gitlab-ci.yml"


def _install(answers: Answers) -> str:
    """Install the suite that the variable names; the cache of components has the same name."""
    return f'pip install "{answers.suite.requirement}"'


def _judge(answers: Answers) -> str:
    return f"vault-issuer judge {shlex.quote(answers.file)}"


def github(answers: Answers) -> str:
    """Return a workflow for GitHub Actions: the job's page shows the summary, and the report is an artifact."""
    go = (
        """\
      - uses: actions/setup-go@d35c59abb061a4a6fb18e82ac0862c26744d6ab5  # v5.5.0
        with:
          go-version-file: go.mod
"""
        if answers.go
        else ""
    )
    build = (
        f"""\
      - name: Build the controller
        run: {json.dumps(answers.build)}
"""
        if answers.build
        else ""
    )
    return f"""\
# Judges {answers.name} with pytest-vault-issuer. The first run builds Vault and Kubernetes from Go modules and keeps
# them for the next ones.
name: vault-issuer
on:
  push:
  pull_request:
permissions:
  contents: read
env:
  SUITE: {json.dumps(answers.suite.revision)}  # {answers.suite.comment}
jobs:
  conformance:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
      - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683  # v4.2.2
      - uses: actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065  # v5.6.0
        with:
          python-version: "3.12"
{go}\
      - name: Install
        run: {_install(answers)}
{build}\
      - name: Restore the components
        id: components
        uses: actions/cache/restore@5a3ec84eff668545956fd18022155c47e93e2684  # v4.2.3
        with:
          path: ~/.cache/vault-issuer
          key: vault-issuer-${{{{ env.SUITE }}}}-${{{{ runner.os }}}}-${{{{ runner.arch }}}}
      - name: Build the components
        run: vault-issuer toolchain build kubernetes vault cert-manager-crds
      - name: Keep the components
        if: steps.components.outputs.cache-hit != 'true'
        uses: actions/cache/save@5a3ec84eff668545956fd18022155c47e93e2684  # v4.2.3
        with:
          path: ~/.cache/vault-issuer
          key: vault-issuer-${{{{ env.SUITE }}}}-${{{{ runner.os }}}}-${{{{ runner.arch }}}}
      - name: Judge the controller
        run: {_judge(answers)}
      - name: Summary
        if: always() && hashFiles('report/report.md') != ''
        run: cat report/report.md >> "$GITHUB_STEP_SUMMARY"
      - name: Report
        if: always()
        uses: actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02  # v4.6.2
        with:
          name: vault-issuer-report
          path: report
"""


def gitlab(answers: Answers) -> str:
    """Return a job for GitLab CI, to include in ``.gitlab-ci.yml``; the extra `go` installs Go for a build."""
    build = f"    - {json.dumps(answers.build)}\n" if answers.build else ""
    return f"""\
# Judges {answers.name} with pytest-vault-issuer. In .gitlab-ci.yml:
#   include:
#     - local: {GITLAB_FILE}
vault-issuer:
  image: python:3.12
  timeout: 1h
  variables:
    SUITE: {json.dumps(answers.suite.revision)}  # {answers.suite.comment}
    VAULT_ISSUER_CACHE: $CI_PROJECT_DIR/.cache/vault-issuer
  cache:
    key: vault-issuer-$SUITE
    paths:
      - .cache/vault-issuer
    when: always
  script:
    - {_install(answers)}
{build}\
    - {_judge(answers)} --junitxml=report/junit.xml
  artifacts:
    when: always
    paths:
      - report
    reports:
      junit: report/junit.xml
"""
