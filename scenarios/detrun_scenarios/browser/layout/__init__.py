"""Layout: from styles to boxes. Lengths are Values where styles are, so that every box has derivatives."""
