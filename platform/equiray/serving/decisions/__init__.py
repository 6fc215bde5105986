"""Decisions about people: rows in, decisions with their gates out, recorded before they leave."""
