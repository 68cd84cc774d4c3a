"""Small real systems that detrun runs, records and differentiates. Run them from a checkout; nobody imports them."""
