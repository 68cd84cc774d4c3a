"""Settings of a marked test: marks, options, the configuration file."""

from __future__ import annotations

COUNTING = """
    import pytest, detrun

    seeds = {}

    async def main(name):
        seeds.setdefault(name, []).append(detrun.uniform(0, 1))

    @pytest.mark.detrun
    async def test_plain():
        await main("plain")

    @pytest.mark.detrun(schedules=7, seed=1)
    async def test_marked():
        await main("marked")

    @pytest.mark.detrun(schedules=7, seed=2)
    async def test_of_another_seed():
        await main("of another seed")

    def test_how_many():
        with open("seen", "w") as file:
            for name, drawn in seeds.items():
                print(len(drawn), len(set(drawn)), drawn[0], name, sep=",", file=file)
"""


def seen_by(project, *options: str) -> dict[str, tuple[int, int, float]]:
    """By test, how many schedules it ran, how many of them drew different numbers, and the first."""
    finished = project.pytest(*options)
    assert finished.exit_code == 0, finished.output
    rows = [line.split(",") for line in (project.directory / "seen").read_text().splitlines()]
    return {name: (int(schedules), int(different), float(first)) for schedules, different, first, name in rows}


def test_the_command_line_wins_over_the_mark_and_the_mark_over_the_configuration(project):
    project.write("pytest.ini", "[pytest]\ndetrun_schedules = 5\ndetrun_strategy = fifo\n")
    project.write("test_counting.py", COUNTING)
    seen = seen_by(project)
    assert {name: found[:2] for name, found in seen.items()} == {
        "plain": (5, 5),
        "marked": (7, 7),
        "of another seed": (7, 7),
    }
    first, other = seen["marked"][2], seen["of another seed"][2]
    assert first != other  # a seed decides the draws of a test

    given = seen_by(project, "--detrun-schedules", "3", "--detrun-seed", "2")
    assert given == dict.fromkeys(seen, (3, 3, other))


def test_a_mark_alone_is_enough_and_the_same_seed_draws_the_same(project):
    project.write("test_counting.py", COUNTING)
    chosen = ("-k", "marked or how_many")
    seen = seen_by(project, *chosen)
    assert seen["marked"][:2] == (7, 7)
    assert seen_by(project, "--detrun-seed", "1", *chosen) == seen


def test_a_wrong_number_in_the_configuration_file_is_named(project):
    project.write("pytest.ini", "[pytest]\ndetrun_schedules = many\n")
    project.write("test_counting.py", COUNTING)
    finished = project.pytest("-k", "plain")
    assert "detrun_schedules = 'many' in the configuration file is not valid; give a whole number" in finished.output
