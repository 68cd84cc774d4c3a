"""Bodies, the forces between them, and the engine that steps them."""
