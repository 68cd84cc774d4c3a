"""What a run controls in its process: clocks, generators of random numbers, and calls that would let the outside in."""
