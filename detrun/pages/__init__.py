"""HTML pages that need no network, and a recording as the columns that they draw."""
