"""Pydantic models of every YAML file: what a job may say, and the hash of what it said."""
