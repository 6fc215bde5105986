"""Questions about people with answer options: BBQ, decisions about rows, biographies, comments, applications.

`record.py` says what a case is; a data set has a file of its own that makes cases of official bytes.
"""
