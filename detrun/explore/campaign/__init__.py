"""A campaign: many schedules of one program, where they run, and what they conclude."""
