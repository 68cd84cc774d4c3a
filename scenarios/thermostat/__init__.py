"""A room, a thermostat and a meter that share two cells: a million steps, to differentiate in bounded memory."""
