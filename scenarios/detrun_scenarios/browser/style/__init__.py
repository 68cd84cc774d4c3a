"""Styles: sheets, selectors, the cascade and inheritance."""
