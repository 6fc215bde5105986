"""Answers in words: chains are sampled, their steps scored, and the weighted vote is what the caller gets.

`bodies` and `replies` are OpenAI's shapes; `answering` answers without them, without Ray and without a log; `grouping`
says which chains give one answer, `voting` which answer wins and when enough chains are there; `recording` is what the
audit log keeps, from which every reply is made; `routes` puts them behind two endpoints.
"""
