"""SQLAlchemy fills the columns of a subquery in place, where another thread already reads them.

Reported: https://github.com/sqlalchemy/sqlalchemy/issues/12302; in 2.0.37, fixed in 2.0.38. An object published before
it is finished.

Two threads build queries on one subquery that a module defines, as is usual.
"""

import threading

from sqlalchemy import Column, Integer, MetaData, String, Table, select

ITEMS = Table("items", MetaData(), Column("id", Integer), Column("name", String), Column("price", Integer))


def main() -> None:
    cheap = select(ITEMS).where(ITEMS.c.price < 10).subquery()

    def query() -> None:
        select(cheap.c.name).where(cheap.c.price > 5)

    threads = [threading.Thread(target=query) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
