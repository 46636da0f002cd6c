"""One SMTP transaction: its facts, the checks made about it, the decision, the report. Nothing here does I/O.

`mailauth.sync` and `mailauth.aio` run what is planned here: they differ in nothing else. To read: `facts` (who sends
what to whom), `checks` (SPF, DKIM and the others, each made once), `decision`, then `session` (phase by phase),
`message` (a whole message at once) and `report`.
"""
