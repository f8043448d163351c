"""Clients that are measured beside each other, each of them in a process of its own.

A contender is started with a Job as JSON, sends `warm_up` requests, then `requests` more over one
connection, and prints its Finding. Only the second part is measured. Those in Python run on uvloop,
as the dispatcher does.
"""
