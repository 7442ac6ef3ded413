"""Databases as earlier releases left them: SQL text of a real platform's database, one file per release.

Do: add a file for each release, named after its newest revision. Don't: edit one, or make rows by hand.
"""
