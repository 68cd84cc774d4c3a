"""One link by itself, with packets that write down what becomes of them, and a clock that the test moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from detrun.errors import UsageError
from detrun.world.fault_counts import FaultCounts
from detrun.world.network import link as module
from detrun.world.network.link import Link
from detrun.world.network.packet import Packet
from detrun.world.network.rules import Chance, Detour, Verdict
from detrun.world.network.settings import LinkSettings
from detrun_scheduler.clock import VirtualClock


class Parcel(Packet):
    """A message that writes down when it arrived, and what else became of it."""

    def __init__(self, link: Link, size: int = 100, protocol: str = "mailbox") -> None:
        super().__init__(link, size)
        self.protocol = protocol  # type: ignore[misc]  # of the class elsewhere
        self.became: list[Any] = []
        self.copies: list[Parcel] = []

    def fire(self) -> None:
        if self.link.arrive(self):
            self.became.append(self.link.clock.now)

    def lost(self) -> None:
        self.became.append("lost")

    def reset(self) -> None:
        self.became.append("reset")

    def copy(self) -> Packet:
        self.copies.append(Parcel(self.link, self.size, self.protocol))  # type: ignore[arg-type]
        return self.copies[-1]


class Net:
    """A link from ``a`` to ``b``, or of ``a`` to itself."""

    def __init__(self, *, loopback: bool = False, **settings: Any) -> None:
        self.clock = VirtualClock()
        self.journal: list[Any] = []
        self.faults = FaultCounts()
        run = SimpleNamespace(
            virtual_clock=self.clock,
            timers=self.clock.timers,
            serial=5,
            register=lambda kind, name: self.journal.append((kind, name)) or 0,
            message_entered=lambda link: self.journal.append("entered"),
            message_left=lambda link: self.journal.append("left"),
        )
        source, destination = (SimpleNamespace(name=name, is_powered=True) for name in "ab")
        self.destination: Any = source if loopback else destination
        self.world_rules: list[Any] = []
        services: Any = SimpleNamespace(run=run, faults=self.faults)
        self.link = Link(services, self.world_rules, source, self.destination, LinkSettings(**settings))  # type: ignore[arg-type]

    def sent(self, size: int = 100, protocol: str = "mailbox") -> Parcel:
        parcel = Parcel(self.link, size, protocol)
        self.link.send(parcel)
        self.link._check()
        return parcel

    def until(self, seconds: float) -> None:
        """Fire what is due by then."""
        while (due := self.clock.timers.next_time()) <= seconds:
            self.clock.now = self.clock.time = due
            for key in self.clock.timers.pop_due(due):
                key.fire()
            self.link._check()
        self.clock.now = self.clock.time = seconds


def test_a_message_arrives_after_the_latency_and_is_in_flight_until_then() -> None:
    net = Net(latency=0.5)
    net.until(1.0)
    parcel = net.sent()
    assert (parcel.sent_at, list(net.link.in_flight)) == (1.0, [parcel])
    assert (parcel.source.name, parcel.destination.name) == ("a", "b")
    net.until(2.0)
    assert (parcel.became, list(net.link.in_flight)) == ([1.5], [])


def test_nothing_happens_on_the_way_to_oneself() -> None:
    net = Net(loopback=True, latency=0.5)
    net.world_rules.append(lambda packet: Verdict.DROP)
    parcel = net.sent()
    assert net.link.acknowledgement_arrives_at() == 0.0
    net.until(0.0)
    assert (net.link.is_loopback, parcel.became) == (True, [0.0])


def test_a_partition_swallows_what_enters_and_what_would_arrive() -> None:
    net = Net(latency=0.5)
    under_way = net.sent()
    assert net.link.is_open()
    net.link.partitioned = True
    assert not net.link.is_open()
    swallowed = net.sent()
    assert (swallowed.became, net.link.fault_counts) == (["lost"], {"partition": 1})
    net.until(1.0)
    assert (under_way.became, net.link.fault_counts, dict(net.faults)) == (["lost"], {"partition": 2}, {"partition": 2})
    net.link.partitioned = False
    healed = net.sent()
    net.until(2.0)
    assert healed.became == [1.5]


def test_a_machine_without_power_hears_nothing() -> None:
    net = Net(latency=0.5)
    net.destination.is_powered = False
    parcel = net.sent()
    assert not net.link.is_open()
    net.until(1.0)
    assert (parcel.became, dict(net.faults)) == (["lost"], {})


def test_clogs_add_up_and_what_they_held_arrives_when_the_last_is_off() -> None:
    net = Net(latency=0.5)
    first, second = net.sent(), net.sent()
    net.link.clog()
    net.link.clog(2.0)
    assert (net.link.clogs, net.link.is_open(), net.faults.unfired()) == (2, False, ("clog",))
    net.until(1.0)
    assert (net.link.held, net.link.fault_counts) == ([first, second], {"clog": 2})
    net.link.unclog()
    net.until(1.9)
    assert (first.became, net.link.clogs) == ([], 1)
    net.until(2.5)  # two seconds after it was set
    assert (first.became, second.became, net.link.held, net.link.clogs) == ([2.0], [2.0], [], 0)
    net.link.unclog()  # one too many
    assert net.link.clogs == 0
    net.link.clog()
    assert net.link.clogs == 1


def test_a_clog_begins_when_it_is_set_and_lasts_no_negative_time() -> None:
    net = Net()
    net.until(1.0)
    net.link.clog(0)
    net.link.clog(0.25)
    net.until(1.2)
    assert net.link.clogs == 1
    net.until(1.3)
    assert net.link.clogs == 0
    for wrong in (-1.0, float("nan"), "1"):
        with pytest.raises(UsageError, match=r"a clog of .* s: give seconds of at least 0"):
            net.link.clog(wrong)
    assert net.link.clogs == 0


@pytest.mark.parametrize(
    ("verdict", "became", "counts"),
    [
        (Verdict.PASS, [0.5], {}),
        (Verdict.DELIVER, [0.5], {}),
        (Verdict.DROP, ["lost"], {"says": 1}),
        (Verdict.RESET, ["reset"], {"says": 1}),
        (Verdict.HOLD, [], {"says": 1}),
        (Verdict.DUPLICATE, [0.5], {"says": 1}),
    ],
)
def test_the_verdict_of_a_rule_is_done_and_counted(verdict: Verdict, became: list[Any], counts: Any) -> None:
    def says(packet: Packet) -> Verdict:
        return verdict

    net = Net(latency=0.5)
    net.link.rules.append(says)
    parcel = net.sent()
    net.until(1.0)
    assert (parcel.became, net.link.fault_counts) == (became, counts)
    assert net.link.held == ([parcel] if verdict is Verdict.HOLD else [])
    assert [(one.sent_at, one.became) for one in parcel.copies] == ([(0.0, [0.5])] if "DUPL" in verdict.name else [])


def test_rules_of_the_world_come_first_then_those_of_the_link_then_probabilities() -> None:
    net = Net(loss=1.0)
    asked: list[Any] = []
    net.link.rules.append(lambda packet: asked.append("link") or Verdict.DELIVER)
    net.world_rules.append(lambda packet: asked.append("world") or Verdict.PASS)
    assert "lost" not in net.sent().became
    assert asked == ["world", "link"]


def test_a_copy_was_sent_when_the_first_was() -> None:
    net = Net()
    net.until(3.0)
    net.link.rules.append(lambda packet: Verdict.DUPLICATE)
    assert [one.sent_at for one in net.sent().copies] == [3.0]


def test_a_message_that_is_sent_again_is_not_slow_any_more() -> None:
    net = Net(latency=0.5)
    slow = [2.0, 0.0]
    net.link.rules.append(lambda packet: packet.slow_by(slow.pop(0)) or Verdict.PASS)
    parcel = net.sent()
    net.until(3.0)
    net.link.send(parcel)
    net.until(10.0)
    assert parcel.became == [2.5, 3.5]


def test_only_what_can_happen_is_asked_and_detours_come_first() -> None:
    def kinds(net: Net) -> list[tuple[type, str, Any]]:
        return [(type(one), one.fault, one.protocols) for one in net.link._judges]

    assert kinds(Net()) == []
    unordered = frozenset({"udp", "mailbox"})
    everything = Net(reordering=0.1, slow_tail=1e-9, reset=0.1, loss=1.0, duplication=0.1)
    assert kinds(everything) == [
        (Detour, "reordering", unordered),
        (Detour, "slow tail", None),
        (Chance, "reset", frozenset({"tcp"})),
        (Chance, "loss", None),
        (Chance, "duplication", unordered),
    ]
    everything.link.configure(reset=0.0, reordering=0, slow_tail=0.0, duplication=0.0)
    assert kinds(everything) == [(Chance, "loss", None)]


@pytest.mark.parametrize("luck", [True, False])
def test_a_probability_that_strikes_is_done_and_counted(luck: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chance, "judge", lambda self, packet: self.verdict if luck else Verdict.PASS)
    net = Net(loss=0.5)
    parcel = net.sent()
    net.until(0.0)
    assert (parcel.became, net.link.fault_counts) == ((["lost"], {"loss": 1}) if luck else ([0.0], {}))


def test_a_detour_is_as_long_as_the_setting_says_or_four_journeys() -> None:
    net = Net(latency=0.5, slow_tail=0.1)
    (detour,) = net.link._judges
    assert detour.extra.sample("x") == 2.0  # type: ignore[union-attr]
    net.link.slow_tail_delay = 7.0
    assert detour.extra.sample("x") == 7.0  # type: ignore[union-attr]


def test_settings_can_be_read_and_replaced_and_arm_their_faults() -> None:
    net = Net(latency=0.5)
    link = net.link
    link.bandwidth, link.loss = 1000.0, 0.25
    assert (link.bandwidth, link.loss, link.settings.loss) == (1000.0, 0.25, 0.25)
    assert type(link).loss.__doc__ == "Probability that a message is lost."
    assert net.faults.unfired() == ("loss",)
    kept = link.latency
    link.configure(duplication=0.5)
    assert link.latency is kept  # its parameters may have been assigned to
    link.latency = 2.0
    assert link.latency.sample("x") == 2.0  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="no setting 'lateness'"):
        link.configure(lateness=1)


def test_messages_wait_for_the_bandwidth_and_a_queue_that_is_full_loses_them() -> None:
    net = Net(latency=0.5, bandwidth=1000.0, queue_bytes_max=1500)
    net.until(4.0)
    parcels = [net.sent(size) for size in (1000, 500, 1, 100)]
    # The second waits for a second, in which 1,000 bytes go through: 1,500 fit. A further byte does not.
    assert [one.became for one in parcels[2:]] == [["lost"], ["lost"]]
    assert net.link.fault_counts == {"queue overflow": 2}
    net.until(10.0)
    assert [one.became for one in parcels[:2]] == [[5.5], [6.0]]
    late = net.sent(2000)  # nothing is before it
    net.until(12.0)
    on_time = net.sent(3000)
    net.until(20.0)
    assert (late.became, on_time.became) == ([12.5], [15.5])


def test_a_link_whose_clock_is_differentiable_says_where_its_queue_could_have_been_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Moment(float):
        """Stands for a Value."""

    said: list[Any] = []
    monkeypatch.setattr(module, "Value", Moment)
    monkeypatch.setattr(module, "site", lambda *said_now: said.append(said_now))
    net = Net(bandwidth=1000.0)
    net.sent()
    net.until(1.0)
    assert said == []  # plain numbers move with no parameter
    net.clock.now = Moment(1.0)
    net.sent()
    net.clock.now = 2.0
    net.link._free_at = Moment(1.5)
    net.sent()
    assert said == [("link queue", "a->b", 0.1, 1.0), ("link queue", "a->b", 1.5, 2.0)]


def test_an_acknowledgement_takes_a_journey_of_its_own_and_no_bandwidth() -> None:
    net = Net(latency=0.5, bandwidth=1.0)
    net.until(1.0)
    assert net.link.acknowledgement_arrives_at() == 1.5


@pytest.mark.parametrize(
    ("partitioned", "clogs", "powered"), [(False, 0, True), (True, 0, True), (False, 1, True), (False, 0, False)]
)
def test_a_link_is_open_and_delivers_if_nothing_stops_a_message(partitioned: bool, clogs: int, powered: bool) -> None:
    net = Net()
    parcel = net.sent()
    net.link.partitioned, net.link.clogs, net.destination.is_powered = partitioned, clogs, powered
    is_free = not partitioned and clogs == 0 and powered
    assert net.link.is_open() is is_free
    assert net.link.arrive(parcel) is is_free


def test_the_journal_knows_a_link_from_its_first_message_on() -> None:
    for first, second in (("entered", "left"), ("left", "entered")):
        net = Net()
        assert (net.link.serial, net.link.number) == (5, -1)
        for _ in range(2):
            getattr(net.link, f"journal_{first}")()
            getattr(net.link, f"journal_{second}")()
        assert net.journal == [("link", "link a->b"), first, second, first, second]


def test_a_world_that_is_over_forgets_its_messages() -> None:
    net = Net(latency=0.5)
    net.sent()
    net.link.held.append(Parcel(net.link))
    assert repr(net.link) == "<Link a->b: Constant(seconds=0.5), 1 messages in flight>"
    net.link.forget_messages()
    assert (net.link.in_flight, net.link.held) == ({}, [])
