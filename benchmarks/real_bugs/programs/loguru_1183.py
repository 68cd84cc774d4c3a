"""loguru's `remove` changes the dictionary of handlers while another thread's message goes through it.

Reported: https://github.com/Delgan/loguru/issues/1183; in 0.7.2, fixed in 0.7.3. A dictionary that changes size.

A program logs in one thread while another removes all handlers, which is documented as safe.
"""

import threading

from loguru import logger


def main() -> None:
    logger.remove()
    for _ in range(2):
        logger.add(lambda message: None, format="{message}", catch=False)

    def log() -> None:
        logger.info("still here")

    threads = [threading.Thread(target=log), threading.Thread(target=logger.remove)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
