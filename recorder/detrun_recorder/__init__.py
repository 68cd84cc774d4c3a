"""Recordings: the decisions of a run, on disk and back."""

from __future__ import annotations

from detrun_recorder.export import export_perfetto as export_perfetto
from detrun_recorder.format import DamagedRecordingError as DamagedRecordingError
from detrun_recorder.header import describe_run as describe_run
from detrun_recorder.recording import Recording as Recording
from detrun_recorder.recording import open_recording as open_recording
from detrun_recorder.steps import Event as Event
from detrun_recorder.steps import Step as Step
from detrun_recorder.token import ScheduleToken as ScheduleToken
from detrun_recorder.token import from_token as from_token
from detrun_recorder.token import to_token as to_token
from detrun_recorder.writer import End as End
from detrun_recorder.writer import Writer as Writer
