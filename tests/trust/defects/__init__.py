"""The defects, a module for each area; every requirement has one that breaks it."""

from __future__ import annotations

import importlib
import pkgutil

from ..mutants import Defect

DEFECTS: tuple[Defect, ...] = tuple(
    defect
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__))
    for defect in importlib.import_module(f"{__name__}.{module}").DEFECTS
)
