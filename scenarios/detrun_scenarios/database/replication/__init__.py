"""Log shipping: a primary sends its log, and pages where the log is gone; a replica redoes it and can be read."""
