"""Settings of a marked test: marks, options, the configuration file."""

from __future__ import annotations

import pytest

COUNTING = """
    import pytest, detrun

    seeds = []

    @pytest.mark.detrun{mark}
    async def test_counts():
        seeds.append(detrun.uniform(0, 1))

    def test_how_many():
        with open("seen", "a") as file:
            print(len(seeds), len(set(seeds)), seeds[0], file=file)
"""


@pytest.mark.parametrize(
    ("mark", "configured", "options", "expected"),
    [
        ("(schedules=7)", "", [], "7 7"),
        ("", "detrun_schedules = 5\ndetrun_strategy = fifo", [], "5 5"),
        ("(schedules=7)", "detrun_schedules = 5", [], "7 7"),
        ("(schedules=7)", "detrun_schedules = 5", ["--detrun-schedules", "3", "--detrun-seed", "4"], "3 3"),
    ],
)
def test_the_command_line_wins_over_the_mark_and_the_mark_over_the_configuration(
    project, mark, configured, options, expected
):
    project.write("pytest.ini", f"[pytest]\n{configured}\n")
    project.write("test_counting.py", COUNTING.replace("{mark}", mark))
    finished = project.pytest(*options)
    assert finished.exit_code == 0, finished.output
    assert (project.directory / "seen").read_text().rpartition(" ")[0] == expected


def test_a_seed_decides_the_draws_of_a_test(project):
    project.write("test_counting.py", COUNTING.replace("{mark}", "(schedules=2, seed=1)"))
    for options in ([], ["--detrun-seed", "1"], ["--detrun-seed", "2"]):
        project.pytest(*options)
    first, again, other = (project.directory / "seen").read_text().splitlines()
    assert first == again != other


def test_a_wrong_number_in_the_configuration_file_is_named(project):
    project.write("pytest.ini", "[pytest]\ndetrun_schedules = many\n")
    project.write("test_counting.py", COUNTING.replace("{mark}", ""))
    finished = project.pytest()
    assert "detrun_schedules = 'many' in the configuration file is not valid; give a whole number" in finished.output
