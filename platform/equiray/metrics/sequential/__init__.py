"""Statistics of a stream that is looked at after every row: e-processes against claims, limits that hold at any time.

`wealth` says what is tested and why it is valid.
"""
