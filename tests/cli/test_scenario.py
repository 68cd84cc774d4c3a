"""``detrun scenario``: every command, from the declaration of a scenario alone."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from detrun.explore.failures.explanation import Explanation
from detrun.explore.failures.narrated_steps import Line
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.operations import Operation
from detrun_scenarios.commands.explore import places_named
from detrun_scenarios.commands.group import scenario
from detrun_scenarios.frame import comparison, tuning
from detrun_scenarios.frame.catalogue import all_scenarios
from tests.reports.pages import data_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scenarios.md"
PACKAGE = PAGE.parents[1] / "scenarios" / "detrun_scenarios"
OF_PARAMETERS = {"name", "default", "bounds", "unit", "about", "origin", "log_scale"}
SMALL = ("--size", "small")

QUEUE = """
import trio
import detrun
from detrun_scenarios.frame.declaration import Loss, Meaning, Parameter, Scenario

def program(setting):
    async def main(params):
        await trio.sleep(params["service"])
        detrun.reachable("the clerk")
        return {"wait": 2.0 * params["service"]}
    return main

SCENARIO = Scenario(
    name="queue",
    about="One customer.",
    parameters=(Parameter("service", 0.5, (0.1, 2.0), "s", "time at the clerk"),),
    losses=(Loss("wait", "twice that", "s", (Meaning("local", ("service",), "it is linear"),)),),
    program=program,
)
"""


def test_the_list_has_what_each_scenario_declares(call, call_json):
    found = {one["name"]: one for one in call_json("scenario", "list")["scenarios"]}
    assert {"key_value", "thermostat", "write_ahead_log"} <= found.keys()
    for one in found.values():
        assert set(one) == {"name", "about", "parameters", "losses", "bugs", "invariants", "kinds"}
        assert one["kinds"] == [kind for kind in one["kinds"] if any(kind in str(loss) for loss in one["losses"])]
        for parameter in one["parameters"]:
            assert set(parameter) == OF_PARAMETERS
    shown = call("scenario", "list").stdout
    assert "gain = 0.05 1/turn: power for a degree of error" in shown
    assert "torn_turn: the room reads its temperature in one step" in shown


def test_a_run_has_every_loss_and_every_invariant_by_name_and_replays(call_json):
    found = call_json("scenario", "run", "thermostat", *SMALL, "--seed", "3", "-o", "a.detrun")
    assert found["losses"].keys() == {"squared_error", "effort"}
    assert found["invariants"] == {"no heat is lost": True}
    assert found["looked_at"] == {"no heat is lost": 1}
    assert found["params"] == {"gain": 0.05, "offset": 0.016}
    again = call_json("replay", "a.detrun")
    assert again["same_digest"]
    assert again["digest"] == found["digest"]
    hotter = call_json("scenario", "run", "thermostat", *SMALL, "--seed", "3", "--param", "gain=0.1")
    assert hotter["losses"]["effort"] > found["losses"]["effort"]


def test_a_hunt_for_a_bug_that_is_not_there_finds_nothing(call, call_json):
    found = call_json("scenario", "explore", "thermostat", "--without", "torn_turn", "-n", "2")
    assert (found["verdict"], found["bug"], found["schedules"]) == ("passed", None, 2)
    both = call("scenario", "explore", "thermostat", "--bug", "torn_turn", "--without", "torn_turn", code=2)
    assert "give one of them" in both.stderr


def test_a_planted_bug_is_found_explained_by_its_places_and_replayed(call, call_json):
    found = call_json("scenario", "explore", "thermostat", "--bug", "torn_turn", "-n", "20", code=1)
    assert (found["verdict"], found["bug"]) == ("failed", "torn_turn")
    assert found["places"] == found["places_declared"] == ["TornTurn.cool", "Room.visit"]
    assert "Verified: reversed, the run passes." in found["explanation"]
    assert call("replay", found["recording"], code=1)
    failed = call_json("scenario", "run", "thermostat", *SMALL, "--bug", "torn_turn", code=1)
    assert failed["invariants"] == {"no heat is lost": False}
    assert failed["losses"] == {}


def test_the_right_system_survives_the_same_campaign(call_json):
    found = call_json("scenario", "explore", "thermostat", "-n", "20")
    assert (found["verdict"], found["schedules"], found["bug"]) == ("passed", 20, None)
    assert found["explanation"] is found["recording"] is None


def test_each_derivative_stands_beside_a_finite_difference(call, call_json):
    found = call_json("scenario", "gradient", "thermostat", *SMALL, "--loss", "effort", "--samples", "2")
    assert found["loss"] == "effort"
    for one in found["gradient"].values():
        assert one["kind"] == "local"
        assert one["derivative"] == pytest.approx(one["finite_difference"], rel=1e-6)
        assert one["agrees"] is True
        assert one["why"]
    assert found["html"] is None
    finite = ("scenario", "gradient", "thermostat", *SMALL, "--kind", "finite", "--samples", "2", "--share")
    shown = call(*finite, "0.001").stdout
    assert "errors" in shown
    assert shown != call(*finite, "0.1").stdout


def test_a_page_has_each_derivative_with_its_error_and_its_differences_beside_it(call_json, call, directory):
    page = directory / "gradient.html"
    arguments = ("scenario", "gradient", "thermostat", *SMALL, "--loss", "effort", "--samples", "2")
    found = call_json(*arguments, "--differences", "2", "--html", str(page))
    assert found["html"] == str(page)
    shown = data_of(page.read_text())
    drawn = {name: (answers, reference) for name, answers, reference in shown["kinds"]["parameters"]}
    assert drawn.keys() == found["gradient"].keys()
    for name, one in found["gradient"].items():
        answers, reference = drawn[name]
        assert answers == [
            ["local", one["derivative"], one["std_error"]],
            ["frozen difference", one["finite_difference"], one["finite_std_error"]],
            ["difference of the mean", one["mean_difference"], one["mean_std_error"]],
        ]
        assert reference == "difference of the mean"
    assert shown["kinds"]["verdict"] == ["each derivative agrees with its difference"]
    assert len(shown["rows"]) == len(drawn)
    assert "no/such/place.html" in call(*arguments, "--html", "no/such/place.html", code=2).stderr


def test_tuning_is_compared_at_equal_events_on_held_out_seeds(call_json, directory, monkeypatch):
    pytest.importorskip("optuna")
    pytest.importorskip("cma")
    monkeypatch.setattr(tuning, "TOGETHER", 2)
    monkeypatch.setattr(comparison, "SAMPLES", 2)
    monkeypatch.setattr(comparison, "HELD_OUT_MIN", 2)
    picture = directory / "tuned.png"
    page = directory / "tuned.html"
    arguments = ("--budget", "7000", "--held-out", "3", "--png", str(picture), "--html", str(page))
    found = call_json("scenario", "tune", "thermostat", *SMALL, *arguments)
    assert found["tuned"] < found["default"]
    assert found["params"].keys() == {"gain", "offset"}
    assert found["black_box"].keys() == {"optuna", "cma"}
    assert found["standard_errors"].keys() == {"default", "tuned", "optuna", "cma"}
    assert all(0 < spent <= 7_000 for spent in found["events_used"].values())
    assert len(found["held_out_seeds"]) == 3
    assert (found["size"], found["seed"], found["budget"]) == ("small", 0, 7_000)
    assert found["ways"].keys() == found["events_used"].keys()
    spent, _, params = found["ways"]["tuned"][-1]
    assert (spent, params) == (found["events_used"]["tuned"], found["params"])
    assert picture.read_bytes().startswith(b"\x89PNG")
    loss, *panels = data_of(page.read_text())["panels"]
    assert [name for name, *_ in loss["curves"]] == ["detrun.minimize", "optuna", "cma"]
    for who, _, ((_, verdict, error),) in loss["curves"]:
        name = "tuned" if who == "detrun.minimize" else who
        assert (verdict, error) == ({**found, **found["black_box"]}[name], found["standard_errors"][name])
    assert [panel["title"] for panel in panels] == list(found["default_params"])


def test_tuning_by_some_parameters_leaves_the_others_and_refuses_those_that_are_none(call_json, call, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.setattr(tuning, "TOGETHER", 1)
    monkeypatch.setattr(comparison, "HELD_OUT_MIN", 2)
    few = ("--budget", "3000", "--held-out", "2")
    found = call_json("scenario", "tune", "thermostat", *SMALL, *few, "--by", "gain")
    assert found["params"].keys() == {"gain"}
    assert found["left_out"].keys() == {"cma"}
    assert "declares no kind" in call("scenario", "tune", "thermostat", *SMALL, "--by", "odd", code=2).stderr


def test_without_the_extra_tuning_says_what_to_install_and_the_rest_works(call, monkeypatch):
    monkeypatch.setattr(tuning, "find_spec", lambda package: None)
    said = call("scenario", "tune", "thermostat", code=2).stderr
    assert "optuna and cma, which are not installed; install with: pip install 'detrun[scenarios]'" in said
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    assert "needs matplotlib" in call("scenario", "plot", "thermostat", code=2).stderr
    call("scenario", "run", "thermostat", *SMALL)


def test_a_run_is_drawn_with_the_loss_along_each_parameter(call_json, directory):
    pytest.importorskip("matplotlib")
    found = call_json("scenario", "plot", "thermostat", *SMALL, "--seeds", "2")
    assert (directory / found["picture"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run", "thermostats"], "there is no scenario 'thermostats'; did you mean thermostat?"),
        (["run", "zzz"], "there is no scenario 'zzz'; there are "),
        (["run", "thermostat", "--param", "gian=1"], "has no parameter 'gian'; did you mean gain?"),
        (["run", "thermostat", "--param", "gain=7"], "gain=7 is outside of its bounds; give 0.005 to 0.5 1/turn"),
        (["run", "thermostat", "--param", "gain"], "not NAME=VALUE"),
        (["explore", "thermostat", "--bug", "torn"], "has no bug 'torn'; did you mean torn_turn?"),
        (["gradient", "thermostat", "--loss", "efort"], "has no loss 'efort'; did you mean effort?"),
        (["gradient", "thermostat", "--kind", "locale"], "no kind of gradient 'locale'; did you mean local?"),
        (["tune", "thermostat", "--budget", "10", "--size", "small"], "a budget of 10 events is 0 runs of 129 steps"),
    ],
)
def test_an_unknown_name_is_wrong_usage_and_the_near_ones_are_said(call, arguments, part):
    if arguments[0] == "tune":
        pytest.importorskip("optuna")
        pytest.importorskip("cma")
    assert part in call("scenario", *arguments, code=2).stderr


def test_another_package_adds_a_scenario_by_an_entry_point(call, call_json, directory, monkeypatch):
    (directory / "shop.py").write_text(QUEUE)
    metadata = directory / "shop-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[detrun.scenarios]\nqueue = shop:SCENARIO\nbroken = shop:MISSING\n")
    monkeypatch.syspath_prepend(str(directory))
    ran = call_json("scenario", "run", "queue")
    assert (ran["losses"], ran["reached"]) == ({"wait": 1.0}, {"the clerk": 1})
    assert call_json("gradient", "detrun_scenarios.programs:queue.loss_wait", "--param", "service=1")["grads"] == {
        "service": 2.0
    }
    assert "scenario broken, shop:MISSING, cannot be loaded" in call("scenario", "list", code=2).stderr


def test_the_page_of_scenarios_shows_what_is_printed(call):
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for command in "".join(blocks).split("$ ")[1:]:
        line, *shown = command.splitlines()
        words, _, code = line.partition("  # exit ")
        printed = call(*shlex.split(words)[1:], code=int(code or 0)).output
        for text in shown:
            assert text in printed


def test_every_declared_place_is_a_function_of_the_scenarios_package():
    for one in all_scenarios().values():
        defined: set[Any] = set()
        for file in (PACKAGE / one.name).rglob("*.py"):
            defined |= functions_in(file)
        for bug in one.bugs:
            assert set(bug.places) <= defined, f"{one.name}, {bug.name}"


def test_the_commands_in_the_readme_of_a_scenario_exist():
    pages = {file.parent.name: file.read_text() for file in PACKAGE.glob("*/README.md")}
    pages.pop("studies", None)  # a list of scenarios, which have pages of their own
    assert {"key_value", "thermostat", "write_ahead_log"} <= pages.keys()
    for name, page in pages.items():
        commands = re.findall(r"^\$ detrun scenario (.*?)(?:  #.*)?$", page, re.MULTILINE)
        assert commands, name
        for line in commands:
            command, scenario_name, *rest = shlex.split(line)
            assert scenario_name == name
            scenario.commands[command].make_context(command, [name, *rest])


def functions_in(file: Path) -> set[str]:
    from detrun.explore.failures.functions import function_at

    return {function_at(str(file), line + 1) for line in range(len(file.read_text().splitlines()))}


def test_places_are_named_of_failures_only():
    from detrun.explore.verdicts import Exploration

    assert places_named(Exploration("passed", "", 1, "random", 0)) == ()


def test_all_places_of_an_explanation_are_named_and_not_only_the_two_that_decide():
    first, middle, last = (Operation("main", Line(__file__, line), "runs") for line in range(1, 4))
    explanation = Explanation("", (first, last), "", None, Narration([], {}), None, places=(first, middle, last))
    found: Any = SimpleNamespace(failure=SimpleNamespace(explanation=explanation))
    assert len(places_named(found)) == 3
