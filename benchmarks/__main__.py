"""Every benchmark, one table after the other. Exploration comes last: it installs its peers first."""

from benchmarks import event_sourced, gradients, scalar_tape, scheduling, world
from benchmarks.peers import __main__ as peers

if __name__ == "__main__":
    for one in (scheduling, scalar_tape, gradients, event_sourced, world):
        one.main()
    peers.main([])
