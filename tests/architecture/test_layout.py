"""The tree is the architecture: what import-linter does not see."""

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("domain", "commands", "projections", "adapters", "api", "infra")
DOMAIN_MAY_IMPORT = sys.stdlib_module_names | {"domain", "msgspec"}
NUMERIC = {"statistics.py", "indicators.py"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_dependency_ships_a_package_with_our_name(package: str) -> None:
    owners = set(packages_distributions().get(package, []))

    assert owners <= {"khata"}


def _folders_with_code() -> list[Path]:
    folders = {file.parent for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    return sorted(folders)


@pytest.mark.parametrize("folder", _folders_with_code(), ids=lambda folder: str(folder.relative_to(ROOT)))
def test_every_folder_with_code_is_a_package(folder: Path) -> None:
    scripts_alone = folder.name == "versions"  # Alembic loads migrations by their path.
    assert scripts_alone or (folder / "__init__.py").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_tests_are_no_package_for_they_would_shadow_ours() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_test_module_is_imported_by_another() -> None:
    modules = [module for module in (ROOT / "tests").rglob("*.py") if "support" not in module.parts]
    borrowed = {
        (module.name, node.module)
        for module in modules
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("tests.")
        if not f"{node.module}.".startswith("tests.support.")
    }

    assert modules
    assert borrowed == set()


@pytest.mark.parametrize(
    "module", sorted((ROOT / "domain").rglob("*.py")), ids=lambda module: str(module.relative_to(ROOT))
)
def test_the_domain_imports_nothing_but_the_standard_library_and_msgspec(module: Path) -> None:
    allowed = DOMAIN_MAY_IMPORT | ({"numpy"} if module.name in NUMERIC else set())
    imported = set()
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Import(names=names):
                imported |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(module=str(name), level=0):
                imported.add(name.partition(".")[0])

    assert imported <= allowed


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-uv.lock", "requirements-mutants.lock"])
def test_a_lock_has_a_hash_for_everything_and_an_address_for_nothing(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]

    assert entries
    assert all("==" in line and line.endswith("\\") for line in entries)
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
