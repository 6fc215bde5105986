"""The combined model as a directory: a manifest, safetensors and JSON; no pickle, nothing that runs when it is read.

`write_bundle` makes one, `verify_bundle` compares it with its manifest, `load_bundle` verifies and loads it.
"""
