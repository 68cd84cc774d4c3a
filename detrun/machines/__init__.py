"""Event-sourced machines: dispatching, past states, and gradients over their events."""
