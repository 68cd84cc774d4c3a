"""Control of a process during a run: clocks, generators of random numbers, and calls that would let the outside in."""
