"""Rooms stand in one order, and an import leads to a room that stands earlier in it.

The order below covers every module of the four packages. An import counts wherever it stands: at the top of a module,
inside a function, under ``TYPE_CHECKING``, or as a call of ``import_module`` with a constant name. Inside a room the
files import each other without a circle. torch is imported in one file, and trio's private modules in one room;
`tests/scheduler/trio_host/test_private_names.py` says the same of the private attributes of trio's objects.

Each rule is a function from a tree of files to complaints, and is shown a tree that breaks it: a rule that finds
nothing because it reads nothing would look the same as a clean tree.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).resolve().parent.parent
# Where each top-level package lies.
PACKAGES = {
    "detrun_scheduler": ROOT / "scheduler" / "detrun_scheduler",
    "detrun_recorder": ROOT / "recorder" / "detrun_recorder",
    "detrun": ROOT / "detrun",
    "detrun_pytest": ROOT / "detrun_pytest",
    "detrun_scenarios": ROOT / "scenarios" / "detrun_scenarios",
}

# A module belongs to the longest entry that is its name or a package around it. The ``__init__`` of `detrun` and of
# `detrun.world` give names of the rooms inside and stand above these.
ORDER = (
    "detrun_scheduler.visible",
    "detrun_scheduler.errors",
    "detrun_scheduler.user_code",
    "detrun_scheduler.randomness",
    "detrun_scheduler.counts",
    "detrun_scheduler.frozen_heap",
    "detrun_scheduler.choices",
    "detrun_scheduler.clock",
    "detrun_scheduler.endings",
    "detrun_scheduler.journal",
    "detrun_scheduler.task_weights",
    "detrun_scheduler.run",
    "detrun_scheduler.current",
    "detrun_scheduler.running_loop",
    "detrun_scheduler.message_order",
    "detrun_scheduler.environment",
    "detrun_scheduler.trio_host",
    "detrun_scheduler.reports",
    "detrun_scheduler.footprints",
    "detrun_scheduler.threads",
    "detrun_scheduler.asyncio_host",
    "detrun_scheduler.watching",
    "detrun_scheduler.journaled_run",
    "detrun_scheduler.acting",
    "detrun_scheduler.standing",
    "detrun_scheduler.unwinding",
    "detrun_scheduler.watchdog",
    "detrun_scheduler.loop",
    "detrun_scheduler.strategies",
    "detrun_scheduler",
    "detrun_recorder",
    "detrun.errors",
    "detrun.version",
    "detrun.ad",
    "detrun.relaxed",
    "detrun.primitives",
    "detrun.messages",
    "detrun.effects",
    "detrun.execution",
    "detrun.races",
    "detrun.checkers",
    "detrun.world.fault_counts",
    "detrun.world.services",
    "detrun.world.network",
    "detrun.world.sockets",
    "detrun.world.nodes",
    "detrun.world.disk",
    "detrun.world.files",
    "detrun.world.processes",
    "detrun.world.time",
    "detrun.world.world",
    "detrun.world.localhost",
    "detrun.world.faults",
    "detrun.world",
    "detrun.pages",
    "detrun.inspection",
    "detrun.runs",
    "detrun.determinism",
    "detrun.counterfactuals",
    "detrun.gradients",
    "detrun.minimizing",
    "detrun.machines",
    "detrun.explore.campaign",
    "detrun.explore.failures",
    "detrun.reports",
    "detrun.explore",
    "detrun",
    "detrun.testing",
    "detrun.cli",
    "detrun.__main__",
    "detrun_pytest",
    "detrun_scenarios.frame",
    "detrun_scenarios.programs",
    "detrun_scenarios",
    "detrun_scenarios.studies",
    "detrun_scenarios.commands",
)

IMPORTING_CALLS = ("importlib.import_module", "import_module", "__import__")
TORCH_BRIDGE = "detrun.ad.torch_bridge"
TRIO_HOST = "detrun_scheduler.trio_host"
TRIO_PRIVATE = re.compile(r"\btrio\._(?!_)\w+|\bfrom trio import (?:.*, )?_(?!_)\w+|\bGLOBAL_RUN_CONTEXT\b")

# What unparsing puts into one line, so that the expression above finds it: only then is it worth the time.
CONTINUED = re.compile(r"\btrio\s*\.\s+|\btrio\s+\.|\btrio\b\s*[\\)]|\bfrom trio import *[(\\]")


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, whether it is a package's ``__init__``, and its text."""

    name: str
    is_package: bool
    source: str


def modules_of(packages: Mapping[str, Path]) -> list[Module]:
    """Every Python file of ``packages``, top-level name -> directory."""
    found = []
    for name, directory in packages.items():
        for path in sorted(directory.rglob("*.py")):
            parts = [name, *path.relative_to(directory).with_suffix("").parts]
            is_package = parts[-1] == "__init__"
            found.append(Module(".".join(parts[:-1] if is_package else parts), is_package, path.read_text()))
    return found


@cache
def imported_names(module: Module) -> tuple[tuple[str, ...], ...]:
    """For each import of ``module``, wherever it stands, the dotted names that it can mean, longest first.

    ``from a import b`` means the module ``a.b`` if there is one, and ``a`` otherwise.
    """
    return tuple(_imported_names(module))


def _imported_names(module: Module) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(ast.parse(module.source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.name,)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parents = module.name.split(".")
                kept = parents[: len(parents) - node.level + module.is_package]
                origin = ".".join([*kept, origin] if origin else kept)
            for alias in node.names:
                yield (f"{origin}.{alias.name}", origin)
        elif isinstance(node, ast.Call):
            # ``import_module("a")``, or ``partial(import_module, "a")``
            for function, argument in pairwise((node.func, *node.args)):
                if ast.unparse(function) in IMPORTING_CALLS and isinstance(argument, ast.Constant):
                    yield (str(argument.value),)


def arrows(modules: Sequence[Module]) -> list[tuple[str, str]]:
    """Which module imports which, of ``modules``."""
    known = {module.name for module in modules}
    found = {
        (module.name, target)
        for module in modules
        for names in imported_names(module)
        if (target := next((name for name in names if name in known), None)) is not None and target != module.name
    }
    return sorted(found)


def room_of(module: str, order: Sequence[str]) -> str | None:
    """The entry of ``order`` that ``module`` belongs to; None if it belongs to none."""
    parts = module.split(".")
    return next((name for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in order), None)


def homeless(modules: Sequence[Module], order: Sequence[str]) -> list[str]:
    """Modules that belong to no room."""
    return [module.name for module in modules if room_of(module.name, order) is None]


def upward_imports(modules: Sequence[Module], order: Sequence[str]) -> list[str]:
    """A line for each import that leads to a room standing later in ``order``."""
    complaints = []
    for importer, imported in arrows(modules):
        own, other = room_of(importer, order), room_of(imported, order)
        if own is not None and other is not None and order.index(other) > order.index(own):
            complaints.append(f"{importer} imports {imported}, which stands above it")
    return complaints


def circles(modules: Sequence[Module]) -> list[list[str]]:
    """Groups of modules that import each other, directly or by way of others."""
    graph = networkx.DiGraph(arrows(modules))
    return sorted(sorted(group) for group in networkx.strongly_connected_components(graph) if len(group) > 1)


def importers_of(package: str, modules: Sequence[Module]) -> list[str]:
    """Modules that import ``package`` or something in it."""
    return [
        module.name
        for module in modules
        if any(name == package or name.startswith(f"{package}.") for names in imported_names(module) for name in names)
    ]


def trio_private_uses(module: Module) -> list[str]:
    """Where code names something private to trio; comments and texts that mention it do not count."""
    names = "\n".join(name for names in imported_names(module) for name in names)  # a call has its name in a text
    if not TRIO_PRIVATE.search(f"{module.source}\n{names}") and not CONTINUED.search(module.source):
        return []  # nothing to be taken away from
    tree = ast.parse(module.source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return TRIO_PRIVATE.findall(f"{ast.unparse(tree)}\n{names}")


@pytest.fixture(scope="module")
def house() -> list[Module]:
    """Every module of the project that is not a test or a benchmark."""
    return modules_of(PACKAGES)


def inside(package: str, modules: Sequence[Module]) -> list[Module]:
    """The modules of ``package``."""
    return [module for module in modules if module.name == package or module.name.startswith(f"{package}.")]


def test_every_package_has_modules_to_look_at(house: list[Module]) -> None:
    for package in PACKAGES:
        assert inside(package, house), package
    for package in ("detrun_scheduler", "detrun_recorder", "detrun"):
        assert (PACKAGES[package] / "py.typed").exists()


def test_every_module_stands_in_a_room_and_every_room_has_a_module(house: list[Module]) -> None:
    assert homeless(house, ORDER) == []
    assert {room_of(module.name, ORDER) for module in house} == set(ORDER)


def test_the_top_of_detrun_holds_the_front_door_and_rooms_only() -> None:
    files = {path.name for path in PACKAGES["detrun"].iterdir() if path.is_file() and path.suffix == ".py"}
    assert files == {"__init__.py", "__main__.py", "errors.py", "relaxed.py", "runs.py", "version.py"}


def test_imports_lead_to_rooms_that_stand_earlier(house: list[Module]) -> None:
    assert len(arrows(house)) > 500
    assert upward_imports(house, ORDER) == []


def test_no_modules_import_each_other_in_a_circle(house: list[Module]) -> None:
    assert circles(house) == []


def test_no_rooms_import_each_other_in_a_circle(house: list[Module]) -> None:
    graph = networkx.DiGraph(
        (own, other)
        for importer, imported in arrows(house)
        if (own := room_of(importer, ORDER)) != (other := room_of(imported, ORDER))
    )
    assert list(networkx.simple_cycles(graph)) == []


def test_the_scheduler_imports_neither_sibling(house: list[Module]) -> None:
    for sibling in ("detrun", "detrun_recorder"):
        assert importers_of(sibling, inside("detrun_scheduler", house)) == []


def test_the_recorder_imports_only_the_scheduler(house: list[Module]) -> None:
    assert importers_of("detrun", inside("detrun_recorder", house)) == []


def test_the_differentiation_core_imports_neither_trio_nor_the_world(house: list[Module]) -> None:
    for package in ("trio", "detrun.world"):
        assert importers_of(package, inside("detrun.ad", house)) == []


def test_only_the_torch_bridge_imports_torch(house: list[Module]) -> None:
    assert importers_of("torch", [module for module in house if not module.name.startswith("detrun_scenarios")]) == [
        TORCH_BRIDGE
    ]


def test_no_package_imports_the_scenarios_benchmarks_or_tests(house: list[Module]) -> None:
    library = [module for module in house if not module.name.startswith("detrun_scenarios")]
    for package in ("detrun_scenarios", "benchmarks", "tests"):
        assert importers_of(package, library) == []


def test_only_the_trio_host_names_what_is_private_to_trio(house: list[Module]) -> None:
    # Tests may look at what they test; nothing that runs without them may.
    everything = [*house, *modules_of({"benchmarks": ROOT / "benchmarks"})]
    found = {
        one.name: uses
        for one in everything
        if room_of(one.name, (TRIO_HOST,)) is None and (uses := trio_private_uses(one))
    }
    assert found == {}


def module(name: str, source: str, is_package: bool = False) -> Module:
    return Module(name, is_package, source)


@pytest.mark.parametrize(
    "source",
    [
        "import house.attic",
        "import house.attic as top",
        "from house.attic import roof",
        "from house import attic",
        "from . import attic",
        "from .attic import roof",
        "def later():\n    from house import attic",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import house.attic",
        "import importlib\nimportlib.import_module('house.attic')",
        "from functools import partial\nfrom importlib import import_module\npartial(import_module, 'house.attic')",
    ],
)
def test_an_upward_import_is_found_wherever_it_hides(source: str) -> None:
    tree = [module("house", "", is_package=True), module("house.cellar", source), module("house.attic", "")]
    assert upward_imports(tree, ("house.cellar", "house.attic", "house")) == [
        "house.cellar imports house.attic, which stands above it"
    ]
    assert upward_imports(tree, ("house.attic", "house.cellar", "house")) == []


def test_a_relative_import_of_a_package_is_resolved_from_the_package() -> None:
    tree = [module("house.attic", "from . import roof", is_package=True), module("house.attic.roof", "")]
    assert arrows(tree) == [("house.attic", "house.attic.roof")]
    tree = [module("house.attic.roof", "from ..cellar import wine"), module("house.cellar", "")]
    assert arrows(tree) == [("house.attic.roof", "house.cellar")]


def test_a_circle_is_found_through_functions_and_types() -> None:
    lazily = "def later():\n    import b"
    for_types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import c"
    tree = [module("a", lazily), module("b", for_types), module("c", "import a"), module("d", "import a")]
    assert circles(tree) == [["a", "b", "c"]]


def test_a_module_without_a_room_is_found() -> None:
    assert homeless([module("house.shed", ""), module("house.attic.roof", "")], ("house.attic",)) == ["house.shed"]


def test_a_package_whose_name_only_begins_alike_is_another() -> None:
    assert importers_of("detrun", [module("a", "import detrun_scheduler.loop"), module("b", "import detrun.runs")]) == [
        "b"
    ]
    assert room_of("houseboat.deck", ("house",)) is None


@pytest.mark.parametrize(
    "source",
    [
        "import trio._core._run",
        "from trio._core import _run",
        "from trio import _core",
        "from trio import Event, _core",
        "import trio\nrunner = trio._core._run.GLOBAL_RUN_CONTEXT.runner",
        "import importlib\nrun = importlib.import_module('trio._core._run')",
    ],
)
def test_a_private_name_of_trio_is_found_in_code(source: str) -> None:
    assert trio_private_uses(module("a", source))


@pytest.mark.parametrize(
    "source",
    [
        "# as trio._core does\nimport trio",
        '"""Unlike trio._core._run."""',
        "import trio\ntrio.lowlevel.checkpoint",
        "import trio\nprint(trio.__version__)",
        "modules = {'trio._core._run': 1}",
    ],
)
def test_comments_texts_and_dunders_use_nothing_private_to_trio(source: str) -> None:
    assert trio_private_uses(module("a", source)) == []
