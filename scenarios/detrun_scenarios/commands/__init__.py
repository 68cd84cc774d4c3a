"""``detrun scenario``: one file a command, each from the declaration of a scenario alone."""
