"""A program that counts what has been counted on: its module is one for each process."""

import sys

import tally

tally.count += int(sys.argv[1])
print(tally.count)
