"""``detrun report`` and ``explore --html``: what the page has, and what is said where it cannot have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.reports.pages import data_of


def page(path: str) -> dict[str, Any]:
    return data_of(Path(path).read_text())


def test_a_page_has_the_run_with_its_lines_of_code(call: Any, call_json: Any) -> None:
    call("record", "programs.py:rounds", "-o", "a.detrun")
    said = call("report", "a.detrun").stdout
    assert said.startswith("wrote a.html: ")
    found = page("a.html")
    assert found["outcome"] == "returned"
    assert found["facts"]["again"] == "detrun replay a.detrun"
    assert [name for name, _ in found["source"]["files"]] == ["programs.py"]
    document = call_json("report", "a.detrun", "-o", "b.html", "--steps", "3:7")
    assert (document["report"], document["steps"], document["notes"]) == ("b.html", 4, [])
    assert page("b.html")["timeline"]["first"] == 3


def test_a_run_that_failed_has_the_circle_of_its_deadlock_and_values(call: Any) -> None:
    call("record", "programs.py:deadlocks", "-o", "a.detrun", code=5)
    call("report", "a.detrun")
    found = page("a.html")
    assert found["failure"]["error"].startswith("DeadlockError")
    assert len(found["failure"]["cycle"]) == 3
    assert found["values"]["failing"]["tasks"]


def test_without_its_program_a_page_says_why_it_has_no_lines(call: Any, call_json: Any) -> None:
    call("record", "programs.py:rounds", "-o", "a.detrun")
    for options, why in (
        (["--no-replay"], "was not run again (--no-replay)"),
        (["--target", "programs.py:edited"], "cannot be run again (replay left the recording at step "),
        (["--target", "programs.py:gone"], "gone"),
    ):
        (note,) = call_json("report", "a.detrun", *options)["notes"]
        assert note.startswith("without lines of code: the program ")
        assert why in note
        assert page("a.html")["source"] is None


def test_another_file_is_kept_and_a_wrong_range_is_named(call: Any, directory: Path) -> None:
    call("record", "programs.py:rounds", "-o", "a.detrun")
    assert "exists and is not an HTML page" in call("report", "a.detrun", "-o", "programs.py", code=2).stderr
    for wrong in ("7", "5:5", "-2:", "a:b"):
        assert f"--steps {wrong}: give FIRST:LAST" in call("report", "a.detrun", f"--steps={wrong}", code=2).stderr


def test_an_exploration_writes_why_it_failed(call: Any, call_json: Any) -> None:
    document = call_json("explore", "programs.py:deadlocks", "--directory", "kept", "--html", "why.html", code=5)
    assert document["report"] == "why.html"
    found = page("why.html")
    assert found["failure"]["aligned"]
    assert found["facts"]["signature"]
    assert (
        "wrote why.html"
        in call("explore", "programs.py:deadlocks", "--directory", "kept", "--html", "why.html", code=5).stdout
    )
    assert call_json("explore", "programs.py:rounds", "-n", "2", "--html", "no.html")["report"] is None
    assert not Path("no.html").exists()


def test_a_gradient_is_a_page_with_what_carried_it(call: Any) -> None:
    race = ("programs.py:race", "--param", "x=3", "--param", "step=1")
    said = call("gradient", *race, "--html", "g.html").stdout
    assert "steps that carried most" not in said
    view = page("g.html")["gradient"]
    assert [row["name"] for row in view["rows"]] == ["x", "step"]
    assert view["credit"]["x"]
    assert view["flow"]["x"]
    call("gradient", *race, "--kind", "local", "--samples", "4", "--html", "mean.html")
    assert page("mean.html")["gradient"]["flow"] == {}
    call("gradient", *race, "--compare", "--samples", "3", "--html", "kinds.html")
    kinds = page("kinds.html")["gradient"]["kinds"]
    assert [name for name, *_ in kinds["parameters"]] == ["x", "step"]
    assert {"local", "finite"} <= {kind for _, rows, _ in kinds["parameters"] for kind, *_ in rows}


HAS_A_PULLBACK_ONLY = """
from detrun.ad.pullbacks import record_pullback

def main(params):
    return record_pullback(6.0, [params["x"]], lambda adjoint: [3.0 * adjoint])
"""


def test_a_page_says_why_the_nearest_jumps_are_unknown(call: Any, directory: Path) -> None:
    Path("other.py").write_text(HAS_A_PULLBACK_ONLY)
    call("gradient", "other.py:main", "--param", "x=2", "--html", "other.html")
    view = page("other.html")["gradient"]
    assert view["rows"][0]["gradient"] == 3.0
    assert view["flips"] == []
    assert "forward mode met an operation that has a pullback only" in view["flips_refused"]
