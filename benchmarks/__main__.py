"""Every benchmark, one table after the other."""

from benchmarks import event_sourced, gradients, scalar_tape, scheduling

if __name__ == "__main__":
    for one in (scheduling, scalar_tape, gradients, event_sourced):
        one.main()
