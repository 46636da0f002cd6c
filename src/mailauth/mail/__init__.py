"""What every protocol reads: header fields, addresses, domain names, tag lists, SMTP replies.

What the protocols share about mail and names; values and parsers, no I/O, standard library only.
"""
