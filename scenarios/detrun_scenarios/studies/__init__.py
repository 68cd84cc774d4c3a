"""Studies: scenarios that ask one question each, answered by tuning a system against its defaults and a black box."""
