"""Commands that succeed: their output and the files that they write."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import detrun
from detrun.cli import progress
from detrun.execution.targets import load_target
from detrun.minimizing.iteration import Iteration
from detrun_recorder.header import installed_version
from detrun_recorder.recording import open_recording
from tests.reports.pages import data_of


def test_a_recording_replays_from_its_file_alone(call, directory):
    recorded = call(
        "record", "programs.py:race", "--param", "x=3", "--param", "step=1", "--seed", "4", "-o", "a.detrun"
    )
    digest = re.search(r"digest +([0-9a-f]{32})", recorded.output).group(1)
    assert "detrun replay a.detrun" in recorded.output
    replayed = call("replay", "a.detrun")
    assert "the same run" in replayed.output
    assert f"{digest}, as recorded" in replayed.output


def test_the_command_line_and_the_library_make_the_same_run(call_json, directory):
    document = call_json("record", "programs.py:race", "--param", "x=3", "--param", "step=1", "--seed", "7")
    run = detrun.record(load_target("programs.py:race").function, {"x": 3.0, "step": 1.0}, seed=7)
    assert document["digest"] == run.digest
    assert document["result"] == run.result
    assert document["steps"] == run.steps


def test_the_backend_and_the_order_of_asyncio_are_options_that_a_recording_keeps(call_json, directory):
    (directory / "neutral.py").write_text("import detrun\nasync def main():\n    await detrun.sleep(1)\n")
    options = ("--backend", "asyncio", "--asyncio-order", "fifo")
    document = call_json("record", "neutral.py:main", *options, "-o", "a.detrun")
    extra = open_recording("a.detrun").header["extra"]
    assert (extra["backend"], extra["asyncio_order"]) == ("asyncio", "fifo")
    assert call_json("replay", "a.detrun")["digest"] == document["digest"]
    assert call_json("explore", "neutral.py:main", *options, "-n", "3", "--directory", "kept")["schedules"] == 3


def test_a_recording_made_from_python_replays_with_its_literal_arguments(call, directory):
    race = load_target("programs.py:race").function
    detrun.record(race, {"x": 3.0, "step": 1.0}, to="python.detrun")
    assert "the same run" in call("replay", "python.detrun").output


def test_arguments_that_are_no_literals_are_not_guessed(call, directory):
    race = load_target("programs.py:race").function
    params = type("Params", (dict,), {"__repr__": lambda self: "<params>"})(x=3.0, step=1.0)
    detrun.record(race, params, to="python.detrun")
    result = call("replay", "python.detrun", code=2)
    assert "<params>" in result.stderr
    assert "the same run" in call("replay", "python.detrun", "--param", "x=3", "--param", "step=1").output


def test_the_default_file_is_named_after_program_function_and_seed(call, directory):
    call("record", "programs.py:rounds", "--seed", "12")
    assert open_recording(directory / "programs-rounds-12.detrun").seed == 12


def test_an_older_recording_may_be_overwritten(call, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun", "--seed", "1")
    call("record", "programs.py:rounds", "-o", "a.detrun", "--seed", "2")
    assert open_recording(directory / "a.detrun").seed == 2


def test_the_prints_of_a_program_stay_out_of_the_document(call, shell, directory):
    result = shell("record", "programs.py:prints", "--json")
    document = json.loads(result.stdout)
    assert document["result"] == {"numbers": [1, 2.5, None], "other": "<class 'int'>"}
    assert "said by the program" in result.stderr
    assert "said by the program" in call("record", "programs.py:prints").stdout


def test_resync_follows_an_edited_program_and_counts_what_has_no_counterpart(call, call_json, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    call("replay", "a.detrun", "--target", "programs.py:edited", code=3)
    document = call_json("replay", "a.detrun", "--target", "programs.py:edited", "--resync")
    resync = document["resync"]
    assert resync["matched"] + resync["unmatched"] == document["steps"]
    assert resync["unmatched"] == len(resync["places"]) == 3  # one more checkpoint in each of three workers
    assert document["same_digest"] is False
    page = call("replay", "a.detrun", "--target", "programs.py:edited", "--resync").output
    assert f"{resync['matched']} of {document['steps']} steps" in page


def test_what_if_names_the_first_difference_and_keeps_the_run_that_came_out(call, call_json, directory):
    given = ["--param", "x=3", "--param", "step=1"]
    call("record", "programs.py:race", *given, "-o", "a.detrun")
    same = call_json("replay", "a.detrun", "--what-if", "--param", "step=2")
    assert same["what_if"]["first_difference"] is None
    assert same["what_if"]["followed"] == same["steps"] == same["recorded_steps"]
    call("record", "programs.py:rounds", "-o", "b.detrun")
    document = call_json("replay", "b.detrun", "--target", "programs.py:edited", "--what-if", "-o", "c.detrun")
    difference = document["what_if"]["first_difference"]
    assert difference["step"] == document["what_if"]["followed"] < document["steps"]
    page = call("replay", "b.detrun", "--target", "programs.py:edited", "--what-if").output
    assert " ".join(difference["flipped"].split()[:6]) in " ".join(page.split())
    again = call_json("replay", "c.detrun", "--target", "programs.py:edited")
    assert again["digest"] == document["digest"]
    call("replay", "a.detrun", "-o", "d.detrun", code=2)
    call("replay", "a.detrun", "--resync", "--what-if", code=2)


def test_what_if_points_at_the_line_that_went_another_way(call, call_json, directory):
    (directory / "branching.py").write_text(
        "import trio, detrun\n"
        "async def main(params):\n"
        "    size = detrun.uniform()\n"
        "    if size > params['limit']:\n"
        "        await trio.sleep(size)\n"
        "    await trio.lowlevel.checkpoint()\n"
    )
    call("record", "branching.py:main", "--param", "limit=0", "-o", "a.detrun")
    document = call_json("replay", "a.detrun", "--what-if", "--param", "limit=1")
    difference = document["what_if"]["first_difference"]
    assert difference["kind"] == "code"
    assert difference["decided_at"].endswith("branching.py:4")
    page = " ".join(call("replay", "a.detrun", "--what-if", "--param", "limit=1").output.split())
    assert "branching.py:4: if size > params['limit']:" in page


def test_check_says_that_runs_agree(call, call_json, directory):
    assert "2 runs agree" in call("check", "programs.py:rounds").output
    document = call_json("check", "programs.py:race", "--param", "x=3", "--param", "step=1", "--runs", "3", "--fresh")
    assert document["runs"] == 3
    assert document["fresh_process"] is True
    run = detrun.record(load_target("programs.py:race").function, {"x": 3.0, "step": 1.0})
    assert document["digest"] == run.digest


def test_a_program_that_fails_the_same_way_every_time_passes_the_check(call, call_json, directory):
    assert call_json("check", "programs.py:fails")["failed"] is True
    assert "in the same way every time" in call("check", "programs.py:fails").output


def test_show_agrees_with_the_recording_step_by_step(call_json, directory):
    call_json("record", "programs.py:rounds", "-o", "a.detrun")
    recording = open_recording("a.detrun")
    document = call_json("show", "a.detrun", "--last", "1000")
    steps = list(recording.iter_steps())
    assert [step["index"] for step in document["last_steps"]] == [step.index for step in steps]
    assert [step["path"] for step in document["last_steps"]] == [step.path for step in steps]
    assert sum(task["steps"] for task in document["tasks"]) == recording.steps
    assert sum(document["outcomes"].values()) == recording.steps
    for task in document["tasks"]:
        own = [step for step in steps if step.task == task["number"]]
        assert (task["steps"], task["first_step"], task["state"]) == (len(own), own[0].index, own[-1].outcome)
    assert document["choices"] == sum(step.choice is not None for step in steps)
    assert document["outcome"] == "ok"


def test_show_counts_the_operations_on_each_object(call, call_json, directory):
    call("record", "programs.py:race", "--param", "x=3", "--param", "step=1", "-o", "a.detrun")
    (cell,) = call_json("show", "a.detrun")["objects"]
    assert cell == {"number": 0, "label": "Atomic[0]", "operations": {"fetch_add": 1, "fetch_mul": 1, "load": 1}}
    assert "fetch_add 1, fetch_mul 1, load 1" in call("show", "a.detrun").output


def test_a_step_is_shown_with_its_neighbours(call, call_json, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    document = call_json("show", "a.detrun", "--step", "6")
    assert document["step"]["index"] == 6
    assert [step["index"] for step in document["around"]] == [3, 4, 5, 6, 7, 8, 9]
    assert "> 6" in call("show", "a.detrun", "--step", "6").output
    last = call_json("show", "a.detrun", "--step", "-1")
    assert last["step"]["index"] == last["steps"] - 1


def test_a_step_is_found_by_its_time(call_json, directory):
    call_json("record", "programs.py:rounds", "-o", "a.detrun")
    document = call_json("show", "a.detrun", "--at", "1.0")
    assert document["step"]["time"] >= 1.0
    before = [step for step in document["around"] if step["index"] < document["step"]["index"]]
    assert before
    assert all(step["time"] < 1.0 for step in before)


def test_show_writes_a_trace_for_perfetto(call, call_json, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    document = call_json("show", "a.detrun", "--perfetto", "trace.json")
    events = json.loads(Path("trace.json").read_text())["traceEvents"]
    assert document["perfetto"] == {"file": "trace.json", "events": len(events)}
    steps = [event for event in events if event.get("cat") == "step"]
    assert len(steps) == document["steps"]
    assert any("programs.py:" in line for step in steps for line in step["args"].get("lines", ()))


def test_a_trace_of_a_program_that_is_gone_has_what_the_recording_says(call, call_json, directory):
    call("record", "programs.py:rounds", "-o", "a.detrun")
    Path("programs.py").unlink()
    document = call_json("show", "a.detrun", "--perfetto", "trace.json", "--clock", "steps")
    assert "without lines of code" in document["notes"][0]
    trace = json.loads(Path("trace.json").read_text())
    assert trace["otherData"]["clock"] == "steps"
    assert sum(event.get("cat") == "step" for event in trace["traceEvents"]) == document["steps"]
    assert call_json("show", "a.detrun", "--perfetto", "trace.json", "--no-replay")["notes"] == []
    assert "--perfetto" in call("show", "a.detrun", "--clock", "steps", code=2).stderr


def test_the_last_steps_are_shown_only_where_a_run_failed(call, directory):
    call("record", "programs.py:rounds", "-o", "good.detrun")
    call("record", "programs.py:fails", "-o", "bad.detrun", code=1)
    assert "last 7 steps" in call("show", "bad.detrun").output
    assert "last 10 steps" not in call("show", "good.detrun").output
    assert "last 10 steps" in call("show", "good.detrun", "--last", "10").output


def test_kinds_of_gradients_are_sampled_and_compared(call, call_json, directory):
    params = ["--param", "between=1", "--param", "service=0.8"]
    sampled = call_json(
        "gradient", "programs.py:queue", *params, "--kind", "finite", "--samples", "2", "--step", "0.01"
    )
    assert sampled["samples"] == 2
    assert sampled["details"]["steps"] == {"between": 0.01, "service": 0.01}
    assert sampled["cost"]["runs"] == 1 + 2 * 5 + 1 * 4
    page = call("gradient", "programs.py:queue", *params, "--samples", "2", "--of", "quantile:0.5", code=2).output
    assert "at least 10" in page
    compared = call_json("gradient", "programs.py:queue", *params, "--compare", "--samples", "2", "--pairs", "1")
    assert list(compared["kinds"]) == ["local", "expected", "policy", "finite", "relaxed"]
    assert compared["refused"] == {}


def test_a_minimization_is_the_librarys_and_goes_on_from_its_checkpoint(call, call_json, directory):
    few = ["--iterations", "4", "--samples", "2", "--held-out", "4", "--look-every", "2", "--rate", "0.5"]
    limits = ["--bound", "x=1:", "--log", "step"]
    arguments = [
        "minimize",
        "programs.py:race",
        "--param",
        "x=3",
        "--param",
        "step=1",
        "--scale",
        "x=0.5",
        "--kind",
        "finite",
        *few,
        *limits,
    ]
    kept = ["--step", "0.1", "--checkpoint", "kept.jsonl"]
    document = call_json(*arguments, *kept)
    expected = detrun.minimize(
        load_target("programs.py:race").function,
        {"x": 3.0, "step": 1.0},
        kind="finite",
        iterations=4,
        samples=2,
        held_out=4,
        look_every=2,
        rate=0.5,
        bounds={"x": (1.0, None)},
        log_scaled=["step"],
        scales={"x": 0.5},
        step=0.1,
    )
    assert document["params"] == expected.params
    assert document["gain"] == expected.gain > 0.0
    assert [one["after"] for one in document["looks"]] == [0, 2, 4]
    assert min(one["params"]["x"] for one in document["history"]) >= 1.0
    lines = Path("kept.jsonl").read_text()
    page = call(*arguments, *kept, "--html", "minimum.html").output
    assert Path("kept.jsonl").read_text() == lines
    panels = data_of(Path("minimum.html").read_text())["panels"]
    looks = [[one["after"], one["value"], one["std_error"]] for one in document["looks"]]
    assert panels[0]["curves"][1][1] == looks
    assert [panel["title"] for panel in panels[1:]] == ["x", "step"]
    assert "4 iterations" in page
    assert "all 4 iterations were made" in page


def test_what_a_minimization_cannot_mean_is_refused(call, directory):
    arguments = ["minimize", "programs.py:race", "--param", "x=3", "--param", "step=1"]
    for given, said in (
        (["--kind", "odd"], "unknown kind"),
        (["--kind", "local", "--bound", "x=1"], "write --bound rate=0:1"),
        (["--kind", "local", "--bound", "x=a:2"], "write --bound rate=0:1"),
        (["--kind", "local", "--bound", "x=:2", "--bound", "x=1:"], "given twice"),
        (["--kind", "local", "--bound", "x=:2"], "outside of its bounds"),
        (["--kind", "local", "--optimizer", "odd"], "unknown optimizer"),
        (["--kind", "local", "--png", "minimum.odd"], "picture"),  # no such format, or no matplotlib; before any run
        ([], "--kind"),
    ):
        assert said in call(*arguments, *given, code=2).stderr
    assert "takes no parameters" in call("minimize", "programs.py:rounds", "--kind", "local", code=2).stderr


def test_a_class_of_torch_optim_minimizes(call, call_json, directory):
    pytest.importorskip("torch")
    arguments = ["minimize", "programs.py:race", "--param", "x=3", "--param", "step=1", "--kind", "local"]
    few = ["--iterations", "1", "--samples", "2", "--held-out", "2", "--rate", "0.5", "--optimizer"]
    (_, look) = call_json(*arguments, *few, "torch.SGD")["looks"]
    assert look["params"]["x"] == 3.0 - 0.5 * 2.0 * 3.0 * 3.0  # d/dx is 2, in units of 3
    assert "no class 'Odd'" in call(*arguments, *few, "torch.Odd", code=2).stderr


def test_iterations_are_drawn_as_they_come(monkeypatch, capsys):
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress.minimizing_progress(20) as report:
        assert report is not None
        report(Iteration(7, {"x": 1.5, "y[0]": 2.0}, 0.25, 0.01, {"x": 1.0}, {"x": 0.1}, 32))
        shown = report.progress
        (task,) = shown.tasks
        assert (task.completed, task.total) == (7, 20)
        assert task.fields["said"] == "7 of 20, loss 0.25 ± 0.01, x 1.5, y[0] 2"
    assert shown.finished or not shown.live.is_started


def test_the_gradient_of_a_recorded_run_is_the_librarys(call, call_json, directory):
    call("record", "programs.py:queue", "--param", "between=1", "--param", "service=0.8", "-o", "a.detrun")
    document = call_json("gradient", "programs.py:queue", "--recording", "a.detrun")
    expected = detrun.gradient(
        load_target("programs.py:queue").function, {"between": 1.0, "service": 0.8}, recording="a.detrun"
    )
    assert document["grads"] == expected.grads
    assert document["value"] == expected.value
    assert document["validity"]["service"]["radius"] == expected.validity["service"].radius
    assert document["validity"]["service"]["site"].startswith("maximum at")
    page = call("gradient", "programs.py:queue", "--recording", "a.detrun").output
    assert f"{expected.grads['service']:.9g}" in page
    _, found, margins = page.partition("nearest margins")
    assert found
    nearest = expected.diagnostics.nearest_margins[0]
    assert nearest.code
    assert nearest.code in " ".join(margins.split())


def test_flips_of_a_gradient_are_the_librarys(call, call_json, directory):
    call("record", "programs.py:queue", "--param", "between=1", "--param", "service=0.8", "-o", "a.detrun")
    document = call_json("gradient", "programs.py:queue", "--recording", "a.detrun", "--flips", "0.5")
    expected = detrun.gradient(
        load_target("programs.py:queue").function, {"between": 1.0, "service": 0.8}, recording="a.detrun"
    ).flips(0.5)
    assert (document["flips"]["service"]["down"], document["flips"]["service"]["up"]) == (
        expected["service"].down,
        expected["service"].up,
    )
    assert document["flips"]["service"]["nearest"][0]["move"] == expected["service"].nearest[0].move
    assert document["one_sided"] == {}
    page = call("gradient", "programs.py:queue", "--recording", "a.detrun", "--flips", "0.5").output
    assert "jump of the result" in page
    assert call("gradient", "programs.py:queue", "--samples", "2", "--flips", "1", code=2).stderr


def test_default_parameters_beside_the_program_are_used_and_overridden(call, call_json, directory):
    source = Path("programs.py").read_text()
    Path("with_defaults.py").write_text(source + "\nDEFAULT_PARAMS = {'x': 3, 'step': 1.0}\n")
    assert call_json("record", "with_defaults.py:race")["params"] == {"x": 3.0, "step": 1.0}
    document = call_json("gradient", "with_defaults.py:race", "--param", "x=5")
    assert document["params"] == {"x": 5.0, "step": 1.0}
    assert set(document["grads"]) == {"x", "step"}
    call_json("record", "with_defaults.py:rounds")  # takes no argument: the defaults are not for it


@pytest.mark.parametrize("command", ["record", "replay", "check", "show", "gradient"])
def test_every_command_explains_itself_and_takes_json(call, command):
    assert "--json" in call(command, "-h").output


def test_the_version_is_that_of_the_distribution(call):
    assert call("--version").output == f"detrun {installed_version('detrun') or '(not installed)'}\n"


def test_a_forced_draw_comes_out_as_the_command_line_says(call, call_json, directory):
    (directory / "coin.py").write_text(
        "import detrun\ndef main():\n    return [detrun.bernoulli(0.5), detrun.uniform()]\n"
    )
    free = call_json("record", "coin.py:main", "--seed", "3", "-o", "free.detrun")
    assert free["forces_used"] == free["forces_unmet"] == []
    other = str(not free["result"][0]).lower()
    forced = call_json(
        "record",
        "coin.py:main",
        "--seed",
        "3",
        "-o",
        "a.detrun",
        "--force",
        f"main:0={other}",
        "--force",
        "main:7=unit:0.5",
    )
    assert forced["result"] == [not free["result"][0], free["result"][1]]
    assert (forced["forces_used"], forced["forces_unmet"]) == (["main:0"], ["main:7"])
    assert (free["token"] is None, forced["token"]) == (False, None)
    assert "the same run" in call("replay", "a.detrun").output
    for text in ("main=true", "main:0", "main:0=maybe", "main:0=unit:2", "nowhere:0=1"):
        assert "force" in call("record", "coin.py:main", "--force", text, code=2).stderr.lower()
