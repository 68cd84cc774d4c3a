"""The core of differentiation: values, the tape, and the sweeps over it, independent of trio and of the loop."""
