"""What clients ask of the database: a mix like TPC-C's, and reads of which few keys get most."""
