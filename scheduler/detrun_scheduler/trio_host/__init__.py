"""The part of detrun that knows trio's private names: a trio runner that is stepped one task at a time."""
