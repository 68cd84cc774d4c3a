"""Real systems under detrun: each declares what can be run, explored, differentiated and tuned about it.

A scenario is a package beside this file with a `SCENARIO` (`frame.declaration`); ``detrun scenario list`` shows them.
`frame` is what all of them share, `commands` the command line. detrun itself never imports this package by name.
"""
