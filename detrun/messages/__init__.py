"""Numbers and their derivatives through bytes: `pack` and `unpack`."""
