"""Makes a table of an SQLite database from a CSV file: `python to_sqlite.py DATABASE TABLE FILE`."""

import csv
import sqlite3
import sys
from pathlib import Path

database, table, file = sys.argv[1:]
with Path(file).open(newline="", encoding="utf-8") as rows, sqlite3.connect(database) as to:
    reader = csv.reader(rows)
    columns = next(reader)
    to.execute(f"CREATE TABLE {table} ({', '.join(f'{chr(34)}{c}{chr(34)}' for c in columns)}, PRIMARY KEY (id))")
    to.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' for _ in columns)})", reader)
    if table == "events":
        to.execute("CREATE INDEX by_date ON events (date)")
