"""A transactional store: pages and a buffer pool, a log and recovery, trees, transactions, SQL, a replica."""
