"""Renders the files."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ..errors import ConfigurationError
from ..implementation import Implementation
from . import implementation_file, rbac, workflows
from .answers import Answers

GITHUB, GITLAB = "github", "gitlab"
CI_SYSTEMS = (GITHUB, GITLAB)


def render(answers: Answers, directory: Path) -> dict[str, str]:
    """Return the files by path, relative to `directory`; the implementation file is checked.

    :raises ConfigurationError: if an answer is wrong.
    """
    files = {answers.file: implementation_file.render(answers)}
    try:
        Implementation.from_mapping(tomllib.loads(files[answers.file]), directory.resolve())
    except ConfigurationError as error:
        raise ConfigurationError(f"{answers.file} would be wrong: {error.message}", hint=error.hint) from error
    if answers.rbac_base:
        files[f"{answers.rbac[0]}/kustomization.yaml"] = rbac.overlay(answers)
    elif answers.rbac_copied:
        files[answers.rbac[-1]] = rbac.copy(answers)
    elif not answers.rbac and not answers.chart:
        files[rbac.FILE] = rbac.render(answers)
    if answers.ci == GITHUB:
        files[workflows.GITHUB_FILE] = workflows.github(answers)
    if answers.ci == GITLAB:
        files[workflows.GITLAB_FILE] = workflows.gitlab(answers)
    return files
