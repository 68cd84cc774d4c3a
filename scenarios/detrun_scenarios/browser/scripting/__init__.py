"""Scripts: coroutines that change the page, and promises by which they wait."""
