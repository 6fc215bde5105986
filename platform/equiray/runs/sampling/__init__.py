"""Chains of cases, for every run that needs some: cases of a spec, an engine of a spec, what it wrote, read."""
