"""The core modules whose mutants are sampled, with the tests that should notice, and mutants that change nothing."""

from __future__ import annotations

_GRADIENTS = "tests/gradients/"
_FLIPS = f"{_GRADIENTS}test_flips.py::"
_WINDOWED = f"{_GRADIENTS}test_windowed.py::"
_POLICY = f"{_GRADIENTS}policy/test_policy.py::"
_NETWORK = "tests/world/network/"
_FAULTS = "tests/world/faults/"
_ONE_OF_EACH_FAULT = f"{_FAULTS}test_injection.py::test_one_of_each_takes_effect_and_is_counted"

# In the order of their use for finding mutants, fast ones first; a single test of a slow file as pytest names it.
MODULES: dict[str, tuple[str, ...]] = {
    "detrun/ad/validity.py": ("tests/ad/test_nearest_flip.py", "tests/ad/test_validity.py"),
    "detrun/gradients/timing.py": (f"{_GRADIENTS}test_timing_sites.py", f"{_GRADIENTS}test_timing.py"),
    "detrun/gradients/windowed.py": (
        f"{_GRADIENTS}test_window_totals.py",
        f"{_GRADIENTS}test_window_controller.py",
        f"{_WINDOWED}test_numbers_of_the_random_module_are_those_of_the_recording_in_every_window",
        f"{_WINDOWED}test_without_fork_each_window_is_reached_by_running_again",
        f"{_WINDOWED}test_a_run_prints_what_it_prints_once",
        f"{_WINDOWED}test_a_result_other_than_the_recorded_one_is_a_divergence_in_windows_too",
        f"{_WINDOWED}test_a_divergence_in_a_snapshot_is_reported_as_one",
        f"{_WINDOWED}test_windows_report_the_growth_of_adjoints_that_the_whole_tape_has",
        f"{_WINDOWED}test_windows_warn_of_a_tie_and_know_the_nearest_margins_and_validity",
        f"{_WINDOWED}test_windows_give_the_bits_of_the_whole_tape",
    ),
    "detrun/gradients/flips.py": (
        f"{_GRADIENTS}test_flip_finder.py",
        f"{_FLIPS}test_flips_along_a_direction",
        f"{_FLIPS}test_an_order_of_timers_has_the_jump_of_the_run_that_takes_the_other",
        f"{_FLIPS}test_a_tie_whose_sides_differ_has_both",
    ),
    "detrun/gradients/credit.py": (f"{_GRADIENTS}test_credit.py",),
    "detrun/gradients/sides.py": (f"{_GRADIENTS}test_sides.py",),
    "detrun/gradients/sampling/statistics.py": (f"{_GRADIENTS}sampling/test_statistics.py",),
    "detrun/gradients/sampling/functionals.py": (f"{_GRADIENTS}sampling/test_functionals.py",),
    "detrun/gradients/sampling/collector.py": (f"{_GRADIENTS}sampling/test_collector.py",),
    "detrun/gradients/finite/differences.py": (f"{_GRADIENTS}finite/test_differences.py",),
    "detrun/gradients/finite/step_choice.py": (
        f"{_GRADIENTS}finite/test_step_choice.py",
        f"{_GRADIENTS}finite/test_finite.py",
    ),
    "detrun/gradients/finite/report.py": (f"{_GRADIENTS}finite/test_report.py",),
    "detrun/gradients/policy/baselines.py": (
        f"{_POLICY}test_baselines_take_variance_off_and_none_depends_on_its_own_sample",
        f"{_POLICY}test_the_error_with_the_mean_of_the_others_is_that_of_the_jackknife",
    ),
    "detrun/gradients/policy/scores.py": (f"{_GRADIENTS}policy/test_scores.py",),
    "detrun/counterfactuals/choice_log.py": (
        "tests/counterfactuals/test_choice_log.py",
        "tests/counterfactuals/test_choice_probabilities.py",
    ),
    "detrun/counterfactuals/branches.py": (
        "tests/counterfactuals/test_branch_ways.py",
        "tests/counterfactuals/test_branches.py::test_threads_at_lines_fork_in_the_middle_of_a_step",
    ),
    "detrun/counterfactuals/costs.py": ("tests/counterfactuals/test_costs.py",),
    "detrun/checkers/ddmin.py": ("tests/checkers/test_ddmin.py",),
    "detrun/checkers/legal_order.py": ("tests/checkers/test_orders.py",),
    "detrun/checkers/before_the_moment.py": ("tests/checkers/test_before_the_moment.py",),
    "detrun/explore/campaign/signatures.py": ("tests/explore/campaign/test_signatures.py",),
    "detrun/explore/failures/shrink_faults.py": ("tests/explore/failures/test_shrink_faults.py",),
    "detrun/explore/failures/shrink_plan.py": (f"{_FAULTS}test_fault_plan.py",),
    "detrun/explore/failures/shrink_schedule.py": ("tests/explore/failures/test_shrinker.py",),
    "detrun/explore/failures/trials.py": ("tests/explore/failures/test_trials.py",),
    "detrun/world/network/tcp.py": (f"{_NETWORK}test_tcp_connection.py", f"{_NETWORK}test_acknowledgements.py"),
    "detrun/world/network/tcp_segments.py": (f"{_NETWORK}test_tcp_segments.py",),
    "detrun/world/network/tcp_outgoing.py": (f"{_NETWORK}test_tcp_outgoing.py",),
    "detrun/world/network/link.py": (f"{_NETWORK}test_one_link.py",),
    "detrun/world/faults/link_actions.py": (f"{_FAULTS}test_link_actions.py", _ONE_OF_EACH_FAULT),
    "detrun/world/faults/node_actions.py": (f"{_FAULTS}test_node_actions.py", _ONE_OF_EACH_FAULT),
    "detrun/cli/listing.py": ("tests/cli/test_listing_lanes.py", "tests/cli/test_listings.py"),
    "recorder/detrun_recorder/proportions.py": ("tests/recorder/test_proportions.py",),
    "recorder/detrun_recorder/reader.py": ("tests/recorder/test_reader.py",),
    "recorder/detrun_recorder/strict_replay.py": ("tests/recorder/test_strict_replay.py",),
    "recorder/detrun_recorder/resync_replay.py": ("tests/recorder/test_resync_replay.py",),
    "scheduler/detrun_scheduler/acting.py": ("tests/scheduler/test_what_a_run_does_by_itself.py",),
    "scheduler/detrun_scheduler/clock.py": ("tests/scheduler/test_clock.py",),
    "scheduler/detrun_scheduler/endings.py": ("tests/recorder/test_endings.py",),
    "scheduler/detrun_scheduler/environment/bound_names.py": ("tests/scheduler/environment/test_bound_names.py",),
    "scheduler/detrun_scheduler/frozen_heap.py": ("tests/scheduler/test_frozen_heap.py",),
    "scheduler/detrun_scheduler/strategies/task_clocks.py": (
        "tests/scheduler/strategies/test_task_clocks.py",
        "tests/counterfactuals/test_choice_probabilities.py",
    ),
    "scheduler/detrun_scheduler/strategies/weighted.py": ("tests/scheduler/strategies/test_task_clocks.py",),
    "scheduler/detrun_scheduler/threads/waiting_threads.py": ("tests/scheduler/threads/test_waiting_threads.py",),
    "scheduler/detrun_scheduler/visible.py": ("tests/scheduler/test_visible.py",),
}

# As `python -m tests.mutation` prints them, after the line of code and a bar where the same change elsewhere would be
# noticed. Each says why nothing could notice.
EQUIVALENT: dict[str, tuple[str, ...]] = {
    "detrun/ad/validity.py": (
        # How long to sweep at most: an estimate.
        "1_500_000  →  1500001",
        "SWEEPS_MIN = 16  |  16  →  17",
        # A tape without entries has no margin to sweep.
        "sweeps_max = max(SWEEPS_MIN, ENTRIES_SWEPT_MAX // (len(tape) or 1))  |  1  →  2",
    ),
    "detrun/world/network/tcp.py": (
        # The buffer is no multiple of three bytes.
        "3 * self.outgoing.room >= SEND_BUFFER_BYTES  →  (3 * self.outgoing.room > SEND_BUFFER_BYTES)",
    ),
    "detrun/checkers/legal_order.py": (
        # Each place that is looked at is written before, and one more is not looked at.
        "places = 2 * len(operations) + 1  |  2  →  3",
        "places = 2 * len(operations) + 1  |  1  →  2",
        "self.after, self.before = [0] * places, [0] * places  |  0  →  1",
        # How often to look at the clock, and an estimate.
        "LOOK_AT_CLOCK_EVERY = 256  # steps of the model  |  256  →  257",
        "CONFIGURATION_BYTES = 180  # of one remembered, beside its two parts: measured with tracemalloc, CPython 3.11"
        "  |  180  →  181",
    ),
    "detrun/cli/listing.py": (
        # From where on a listing is long.
        "STEPS_LISTED = 4_000  # of a long recording: half of them from its beginning  |  4_000  →  4001",
        # The halves of just so many are the whole.
        "len(wanted) <= STEPS_LISTED  →  (len(wanted) < STEPS_LISTED)",
    ),
    "detrun/checkers/before_the_moment.py": (
        # At that size the window is everything, and a part that is everything is not shown.
        "size < len(order)  →  (size <= len(order))",
        # Only asked whether it is true.
        "return False  →  return None",
    ),
    "detrun/explore/failures/trials.py": (
        # Only asked whether it is true.
        "return False  →  return None",
    ),
    "detrun/world/network/tcp_outgoing.py": (
        # What is gathered with nothing else is a copy of itself.
        "self.queue and size < SEGMENT_BYTES_MAX  →  ((self.queue) or (size < SEGMENT_BYTES_MAX))",
        "size < SEGMENT_BYTES_MAX  →  (size <= SEGMENT_BYTES_MAX)",
    ),
    "detrun/gradients/policy/scores.py": (
        # Only asked whether it is true.
        "return False  →  return None",
    ),
    "detrun/gradients/windowed.py": (
        # An estimate of what is worth a fork, and of how much memory is large.
        "256  →  257",
        "50_000  →  50001",
    ),
    "recorder/detrun_recorder/resync_replay.py": (
        # A position belongs to one path, and no two tasks have the same.
        "position < best_position  →  (position <= best_position)",
    ),
    "detrun/gradients/sampling/statistics.py": (
        # Around the point between them both ways give the same number.
        "confidence < 0.5  →  (confidence <= 0.5)",
        "outer < (a + 1.0) / (a + 2.5)  →  (outer <= (a + 1.0) / (a + 2.5))",
        "2.5  →  3.5",
        "a < 200.0  →  (a <= 200.0)",
        "200.0  →  201.0",
        # The bisection ends at the same number, but for its last place.
        "high - low > 1e-12 * high  →  (high - low >= 1e-12 * high)",
        "low, high = 0.0, 1.0  |  1.0  →  2.0",
        # Further terms change nothing.
        "change - 1.0  →  ((change) + (1.0))",
        "abs(change - 1.0) < 1e-15  →  (abs(change - 1.0) <= 1e-15)",
        "break  →  pass",
    ),
    "scheduler/detrun_scheduler/frozen_heap.py": (
        # About what 3.12 freezes at its start; elsewhere nothing is frozen, or everything.
        "1_000  →  1001",
        "FROZEN_BY_PYTHON = 1_000 if sys.version_info[:2] == (3, 12) else 0  |  0  →  1",
        "1_000 if sys.version_info[:2] == (3, 12) else 0  →  (0 if sys.version_info[:2] == (3, 12) else 1000)",
        "sys.version_info[:2] == (3, 12)  →  (sys.version_info[:2] != (3, 12))",
        "2  →  3",
        "3  →  4",
        "12  →  13",
    ),
    "scheduler/detrun_scheduler/strategies/weighted.py": (
        # Then it looks anew each time, and finds the same.
        "self.version = given.version  →  pass",
    ),
    "scheduler/detrun_scheduler/strategies/task_clocks.py": (
        # A unit: clocks are only compared with each other.
        "40  →  41",
        # The first of all tasks is then found by looking at all of them.
        "place < 0  →  (place <= 0)",
    ),
    "scheduler/detrun_scheduler/environment/bound_names.py": (
        # Only asked whether it is true.
        "return False  →  return None",
    ),
}
