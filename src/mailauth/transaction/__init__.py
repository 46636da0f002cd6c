"""One SMTP transaction: its facts, the checks made about it, the decision, the report.

What one SMTP transaction knows, and how it is judged. No effect is performed here.
"""
