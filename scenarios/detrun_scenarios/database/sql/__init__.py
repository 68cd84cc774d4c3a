"""A part of SQL: statements as data, and expressions as functions of rows."""
