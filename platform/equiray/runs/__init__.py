"""One run of one spec: from the tables to the report, every finished part kept on disk."""
