"""The planted bugs by name, each as the parts of a system that has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from detrun_scenarios.web_server.bugs.cache_stampede import CacheStampede
from detrun_scenarios.web_server.bugs.dropped_at_shutdown import DroppedAtShutdown
from detrun_scenarios.web_server.bugs.inflight_drift import InflightDrift
from detrun_scenarios.web_server.bugs.leaked_connection import LeakedConnection
from detrun_scenarios.web_server.bugs.mixed_responses import MixedResponses
from detrun_scenarios.web_server.bugs.retry_storm import RetryStorm
from detrun_scenarios.web_server.parts import RIGHT, Parts

BUGS: Mapping[str, Parts] = {
    "mixed_responses": replace(RIGHT, pool=MixedResponses),
    "dropped_at_shutdown": replace(RIGHT, drain=DroppedAtShutdown),
    "inflight_drift": replace(RIGHT, in_flight=InflightDrift),
    "leaked_connection": replace(RIGHT, seats=LeakedConnection),
    "cache_stampede": replace(RIGHT, flights=CacheStampede),
    "retry_storm": replace(RIGHT, retries=RetryStorm),
}
