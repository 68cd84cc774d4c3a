"""The tables of derivatives in the READMEs of scenarios: every line is what a `detrun scenario gradient` command says.

Lines of kinds that a scenario does not declare are there to mislead: they stand beside the difference of the mean, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import click

from benchmarks.kept_results import RESULTS, kept_results, machines, options, said

KEPT = RESULTS / "scenario-gradients.json"
BATCHED = "--param batch_delay=0.01 --param batch_size=2"
LAPSED = "--param lease_margin=0.12"
LAST_SWING = "--param damping=3.5"
SHARED = "--param group_delay=0.005"
OFF_THE_BEAT = "--param group_delay=0.00513 --param write_seconds=0.00107"
BOUNCED = "--param restitution=0.8"
STRAIGHT = "--param cue_angle=0"
HARD = "--param cue_speed=3 --param cue_angle=0"
OFF_THE_TIES = (
    "--differences 10 --param frequency=1.01 --param latency=0.00613 --param user_weight=1111 --param batch_weight=873"
)
BETWEEN = "--param write_quorum=2.5 --param read_quorum=2.5 --param fan_out=4.5"
APART = "--param write_quorum=1.5 --param read_quorum=1.5"
FEW = "--param read_quorum=2.5 --param fan_out=3.5"
ROOMS = "--by pages_weight --by images_weight --by queries_weight"
LASTING = "--param pages_ttl=100 --param images_ttl=100 --param queries_ttl=100"
ASYNCHRONOUS = "--param staleness=1000"
SPARSE = "--param compression_ratio=0.05"
NARROW = "--param bandwidth=30000"
SELDOM_SAVED = "--param checkpoint_interval=0.4"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "consensus": (
        "--loss commit_latency --differences 40",
        f"--loss commit_latency --by batch_size {BATCHED}",
        f"--loss commit_latency --by batch_size --kind finite --share 0.5 --samples 48 {BATCHED}",
        "--loss unavailability",
        f"--loss read_latency {LAPSED}",
        "--loss messages_per_commit",
        f"--loss messages_per_commit --by batch_size {BATCHED}",
        f"--loss messages_per_commit --by lease_margin --by election_timeout {LAPSED}",
        "--loss unavailability --kind local --samples 40 --differences 40",
        "--loss unavailability --by election_spread --kind local --samples 40 --differences 100 "
        "--param election_spread=0.02",
        "--loss commit_latency --by heartbeat_interval --kind local --samples 32 --differences 40",
        f"--loss read_latency --kind local --samples 8 --differences 32 {LAPSED}",
        "--loss messages_per_commit --by heartbeat_interval --kind local --samples 4 --differences 24",
        "--loss unavailability --kind expected --samples 24",
        "--loss unavailability --by election_timeout --kind policy --samples 40",
    ),
    "database": (
        "--loss mean_latency --by group_commit_delay --samples 10",
        "--loss mean_latency --by group_commit_delay --kind local --samples 6 --differences 10",
        "--loss recovery_time --by checkpoint_interval --samples 10",
        "--loss recovery_time --by checkpoint_interval --kind local --samples 4 --differences 10",
        "--loss replica_lag --samples 6",
        "--loss replica_lag --kind relaxed --samples 4",
        "--loss read_latency --by random_page_cost --samples 30 --differences 20",
        "--loss read_latency --by random_page_cost --kind expected --samples 12 --differences 8",
        "--loss read_latency --by random_page_cost --kind local --samples 4 --differences 10",
        "--loss p99_latency --by group_commit_delay --kind local --samples 6 --differences 10",
        "--loss read_latency --by buffer_split --by read_ahead --samples 8",
        "--loss mean_latency --by checkpoint_interval --by writer_interval --by buffer_split --samples 40 "
        "--differences 40",
        "--loss p99_latency --samples 60 --differences 60",
        "--loss bytes_written --samples 40 --differences 40",
        "--loss recovery_time --by writer_interval --samples 24",
        "--loss read_latency --by cpu_tuple_cost --samples 40 --differences 30",
    ),
    "adaptive_scheduling": (
        "--loss slowdown",
        "--loss slowdown --by bias --by latency --kind local --samples 3 --differences 16 --param bias=0.05 "
        "--param latency=0.00613",
    ),
    "one_gradient": (
        "--loss missed_reward",
        "--loss missed_reward --by age_weight --share 0.1",
        "--loss missed_reward --by timeout --param timeout=0.06",
        "--loss missed_reward --by timeout --kind local --samples 100 --differences 300 --param timeout=0.06",
    ),
    "self_optimizing_database": (
        "--loss latency --by by_key --by by_heat --by buffer_split --by read_ahead --samples 8",
        "--loss latency --by by_heat --samples 32 --differences 24",
        "--loss latency --by random_page_cost --samples 40 --differences 20",
        "--loss latency --by by_key --by buffer_split --by random_page_cost --kind local --samples 2 --differences 8",
    ),
    "recommender": (
        "--loss log_loss --differences 24",
        "--loss missed_clicks",
        "--loss missed_clicks --by user_rate --by temperature --kind local --samples 4 --differences 24",
    ),
    "physics": (
        "--loss miss_distance --differences 24",
        "--loss squared_miss --differences 24",
        f"--loss settling_time {LAST_SWING}",
        f"--loss settling_time --kind local --samples 20 --differences 60 {LAST_SWING}",
        f"--loss height --differences 40 {BOUNCED}",
        f"--loss height_on_spring {BOUNCED}",
        f"--loss height_by_steps {BOUNCED}",
        f"--loss height_by_steps --kind local --samples 8 --differences 60 {BOUNCED}",
        "--loss reach_cost --differences 8",
        "--loss hopping_cost --samples 8 --differences 12",
        "--loss pot_miss --differences 40",
        "--loss break_miss",
        f"--loss break_miss {STRAIGHT}",
        f"--loss break_miss --kind local --samples 40 --differences 60 {STRAIGHT}",
        f"--loss break_miss {HARD}",
        f"--loss break_miss --kind local --samples 40 --differences 60 {HARD}",
        "--loss pile_height --by restitution",
        "--loss pile_height --by friction",
        "--loss energy_used --samples 12 --differences 24",
    ),
    "distributed_cache": (
        f"--loss misses {ROOMS} --samples 8 --differences 12",
        f"--loss misses {ROOMS} --samples 16 --differences 16 {LASTING}",
        f"--loss latency {ROOMS} --samples 12 --differences 12",
        "--loss latency --by pages_ttl --by queries_ttl --samples 6",
        "--loss staleness --by pages_ttl --samples 6",
        "--loss latency --by queries_weight --by queries_ttl --kind local --samples 2 --differences 6",
    ),
    "browser": (
        "--loss design_distance --by line_height --by card_gap --by card_padding --samples 12 --differences 16",
        "--loss design_distance --by column_width --by font_size --samples 16",
        "--loss design_distance --by column_width --by font_size --kind local --samples 12 --differences 24",
        "--loss style_time --by bandwidth --by latency --samples 40 --differences 60",
        f"--loss style_time --by style_priority --by image_priority --samples 16 --differences 40 {NARROW}",
        f"--loss style_time --by image_priority --kind finite --share 0.3333333 --samples 24 {NARROW}",
        f"--loss style_time --by style_priority --kind finite --share 0.25 --samples 24 {NARROW}",
        "--loss first_paint --by bandwidth --by work_budget --samples 16",
        "--loss first_paint --by bandwidth --kind local --samples 4 --differences 24",
        "--loss picture_time --by bandwidth --samples 16 --differences 40",
        "--loss picture_time --by latency --samples 40",
        "--loss picture_time --by latency --kind local --samples 40 --differences 160",
        "--loss picture_time --by prefetch_distance --samples 24 --param prefetch_distance=300",
        "--loss layout_shift --by reserved_height --samples 24 --param reserved_height=39.3",
        "--loss layout_shift --by reserved_height --kind local --samples 40 --differences 120 "
        "--param reserved_height=39.3",
        "--loss layout_shift --by bandwidth --samples 24",
        "--loss missed_frames --samples 60 --differences 40",
        "--loss missed_frames --kind local --samples 8 --differences 24",
        "--loss design_distance --by reserved_height --samples 12 --differences 16",
        f"--loss first_paint --by image_priority --samples 24 {NARROW}",
        "--loss layout_shift --by prefetch_distance --samples 24 --param prefetch_distance=300",
    ),
    "robot": (
        "--loss tracking_error --by along_weight --by cross_weight --by path_weight --by effort_weight --by pace "
        "--by slow_for_doubt --differences 16",
        "--loss estimation_error --by range_noise --by bearing_noise --by turn_wander --differences 16",
        "--loss energy --by path_weight --by effort_weight --by pace --differences 16",
        "--loss blind_distance --samples 16",
        "--loss blind_distance --kind local --samples 2 --differences 6",
        "--loss reach_error --differences 12",
        "--loss deadline_misses --samples 8",
        "--loss collisions --by path_weight --by pace --samples 6 --differences 6",
        "--loss estimation_error --by fusion_timeout --samples 8",
        "--loss tracking_error --by fusion_timeout --samples 8",
        "--loss estimation_error --by fusion_timeout --samples 8 --param fusion_timeout=0.02",
        "--loss tracking_error --by fusion_timeout --samples 12 --param fusion_timeout=0.02",
        "--loss tracking_error --by unit_0 --by unit_1 --by curvature_to_1 --differences 16 --param unit_1=0.3",
    ),
    "operating_system": (
        f"--loss mean_response --by batch_weight --by latency --by frequency --kind local --samples 6 {OFF_THE_TIES}",
        "--loss mean_response --samples 10",
        "--loss p95_response --samples 10",
        "--loss feedback_response --samples 6",
        "--loss unfairness --samples 10",
        "--loss faults --samples 10",
        "--loss read_time --samples 10",
        "--loss sync_time --samples 10",
        f"--loss energy --kind local --samples 3 {OFF_THE_TIES}",
        "--loss energy --samples 8",
    ),
    "key_value": (
        "--loss write_latency --differences 16",
        "--loss write_latency --by retry_timeout --by patience --kind local --samples 16 --differences 16",
        "--loss retries",
    ),
    "write_ahead_log": (
        f"--loss write_latency --samples 40 --differences 40 {SHARED}",
        f"--loss write_latency --by group_delay --kind local --samples 16 --differences 40 {SHARED}",
        f"--loss time_per_write --samples 40 --differences 40 {SHARED}",
        f"--loss write_latency --by write_seconds --by group_delay --kind local --samples 8 "
        f"--differences 16 {OFF_THE_BEAT}",
    ),
    "thermostat": (
        "--loss squared_error --samples 6 --differences 12",
        "--loss effort --samples 6 --differences 12",
    ),
    "web_server": (
        "--loss mean_latency --by upstream_seconds --by hedge_delay --by backoff --samples 4 --differences 12",
        "--loss order_latency --samples 8 --differences 8",
        "--loss database_load --by ttl --samples 6 --param ttl=0.2",
        "--loss database_load --by cache_size --samples 6 --param ttl=10 --param cache_size=10",
        "--loss quote_latency --by hedge_delay --by retry_budget --samples 16 --param hedge_delay=0.025",
        "--loss quote_latency --by hedge_delay --kind local --differences 24 --param hedge_delay=0.025",
        "--loss quote_latency --by upstream_timeout --kind local --differences 24 --param upstream_timeout=0.06",
        "--loss upstream_load --by upstream_timeout --by breaker_threshold",
        "--loss lost_goodput --by pool_seconds --by database_timeout --samples 12 --differences 12 "
        "--param pool_seconds=0.3",
        "--loss lost_goodput --by admission_rate --samples 8 --param admission_rate=50",
        "--loss p99_latency --by pool_size --by database_seconds --samples 10 --param pool_size=2",
        "--loss p99_latency --by pool_size --by database_seconds --kind local --samples 2 --differences 10 "
        "--param pool_size=2",
        "--loss p99_latency --by upstream_timeout --by ttl --samples 6",
        "--loss mean_latency --by upstream_timeout --by breaker_threshold --by database_timeout --samples 12 "
        "--param upstream_timeout=0.06 --param breaker_threshold=2 --param database_timeout=0.1",
    ),
    "routing": (
        "--loss mean_delay --by middle_east --by middle_north --by upper_north --differences 30",
        "--loss mean_delay --by slowness --differences 30",
        "--loss mean_delay --by middle_east --kind local --samples 4 --differences 30",
        "--loss powerlessness",
        "--loss lost_share",
        "--loss powerlessness --by increase --by decrease --kind local --samples 8 --differences 12",
    ),
    "training": (
        "--loss ring_loss --by step_size --by momentum --by weight_decay --samples 6 --differences 10",
        "--loss ring_loss --by batch_1 --by slow_batch --samples 8 --differences 8",
        "--loss validation_loss --by step_size --by momentum --samples 5 --differences 8",
        "--loss validation_loss --by weight_decay --by staleness_discount --samples 6 --differences 8",
        "--loss validation_loss --by staleness --samples 10 --differences 10",
        f"--loss validation_loss --by compression_ratio --samples 10 --differences 10 {SPARSE}",
        "--loss validation_loss --by batch_1 --by batch_2 --by slow_batch --samples 8 --differences 8",
        f"--loss validation_loss --by batch_1 --by slow_batch --samples 6 --differences 6 {ASYNCHRONOUS}",
        "--loss validation_loss --by staleness --kind relaxed --samples 6 --differences 6",
        "--loss validation_loss --by staleness --by slow_batch --kind local --samples 3 --differences 10",
        f"--loss validation_loss --by compression_ratio --kind local --samples 3 --differences 10 {SPARSE}",
        "--loss bytes_sent --samples 6 --differences 8",
        "--loss bytes_sent --kind local --samples 2 --differences 8",
        f"--loss time_lost --samples 12 {SELDOM_SAVED}",
        f"--loss time_lost --kind local --samples 4 --differences 8 {SELDOM_SAVED}",
    ),
    "self_tuning_cluster": (
        "--loss cost --by upper --by step_out --samples 10",
        "--loss machines --by upper --by lower --samples 10",
        "--loss wait --by cold_seconds --by service_seconds --samples 10",
        "--loss wait --by upper --by cold_seconds --by service_seconds --kind local --samples 6 --differences 10",
    ),
    "learned_replication": (
        f"--loss write_latency --by write_quorum --samples 30 --differences 12 {BETWEEN}",
        f"--loss read_latency --by read_quorum --by fan_out --samples 30 --differences 12 {BETWEEN}",
        "--loss write_latency --by batch_delay --by replica_seconds --samples 12 --differences 12",
        f"--loss read_latency --by hedge_delay --samples 8 {FEW}",
        f"--loss staleness --by read_quorum --samples 40 --differences 12 {APART}",
        f"--loss messages --by fan_out --samples 30 --differences 12 {BETWEEN}",
        "--loss write_latency --by batch_delay --kind local --samples 4 --differences 12 --param batch_delay=0.01",
        f"--loss write_latency --by write_quorum --kind local --samples 4 --differences 12 {BETWEEN}",
    ),
}
"""By scenario: what follows its name."""

FIELDS = ("loss", "value", "std_error", "params", "gradient", "steps")
HEADER = ("loss", "parameter", "kind", "derivative", "difference of the mean", "errors apart", "on frozen schedules")


def markdown(scenario: str, kept: Mapping[str, Any]) -> str:
    """The table of a scenario's README."""
    lines = ["".join(f"| {one} " for one in HEADER) + "|", "| --- " * len(HEADER) + "|"]
    about = []
    for arguments, found in kept["scenarios"][scenario].items():
        number = len(about) + 1
        about.append(
            f"{number}. `detrun scenario gradient {scenario} {arguments}`: {found['loss']} {found['value']:.4g} ± "
            f"{found['std_error']:.2g}, {found['steps']:,} steps, {found['cpu_seconds']:.0f} s of CPU"
        )
        lines += [f"| {' | '.join(row)} |" for row in rows(number, found)]
    return "\n".join([*lines, "", *about, "", machines(kept, scenario), ""])


def rows(number: int, found: Mapping[str, Any]) -> Iterator[list[str]]:
    """The lines of one command."""
    for parameter, one in found["gradient"].items():
        is_local = one["kind"] == "local"
        mean, error = one["mean_difference"], one["mean_std_error"]
        frozen = "–"
        if is_local:
            frozen = f"{one['apart']:.0e} of it" if one["apart"] else "equal"
            if one["rescheduled"]:
                frozen += f", {one['rescheduled']:.0%} rescheduled"
        yield [
            f"{found['loss']} ({number})",
            f"`{parameter}` at {found['params'][parameter]:g}",
            one["kind"],
            f"{one['derivative']:.3g} ± {one['std_error']:.2g}",
            f"{mean:.3g} ± {error:.2g}",
            errors_apart(one["derivative"], one["std_error"], mean, error),
            frozen,
        ]


def errors_apart(derivative: float, its_error: float, mean: float, error: float) -> str:
    """In standard errors of both; the wrong ones stand out."""
    both = math.hypot(its_error, error)
    if not both:
        return "both exact" if derivative == mean else "**wrong**"
    apart = abs(derivative - mean) / both
    return f"**{apart:.0f}**" if apart > 4.0 else f"{apart:.1f}"


@click.command(help="Derivatives of scenarios by the kinds that they declare, and by some that mislead.")
@click.option("--scenario", type=click.Choice(sorted(COMMANDS)), default="consensus", show_default=True)
@options
def main(scenario: str, only: tuple[str, ...], show: bool) -> None:
    """Measure, keep, and print the table of the README."""

    def measure(arguments: str) -> dict[str, Any]:
        return said("gradient", scenario, arguments, FIELDS)

    kept = kept_results(KEPT, scenario, COMMANDS[scenario], measure, only, show)
    click.echo(markdown(scenario, kept), nl=False)


if __name__ == "__main__":
    main()
