"""Motion between events, and events at the time at which they happen, with the derivative of that time."""
