"""Run the tests on two Pythons at the same time: the first is shown as it goes, the second when both are done.

Not with a shell's ``&``: what a shell starts in the background ignores Ctrl-C, and some tests send it.
"""

import subprocess
import sys
import tempfile


def main(first: str, second: str) -> int:
    """Test with both interpreters; 0 if both pass."""
    print(f"{second} -m pytest runs beside {first} -m pytest and is shown after it", flush=True)
    with tempfile.TemporaryFile() as log:
        beside = subprocess.Popen([second, "-m", "pytest", "-p", "no:cacheprovider"], stdout=log, stderr=log)
        shown = subprocess.run([first, "-m", "pytest"], check=False).returncode
        hidden = beside.wait()
        log.seek(0)
        print(f"{second} -m pytest", flush=True)
        sys.stdout.buffer.write(log.read())
    return max(abs(shown), abs(hidden))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
