"""Imports: rows of files and databases as records on the public topics, restartable and incremental."""
