"""Every benchmark, one table after the other."""

from benchmarks import event_sourced, gradients, scalar_tape, scheduling, world

if __name__ == "__main__":
    for one in (scheduling, scalar_tape, gradients, event_sourced, world):
        one.main()
