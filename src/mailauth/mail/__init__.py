# What belongs here: what the protocols share about mail and names; values and parsers, no I/O, standard library only.
"""What every protocol reads: header fields, addresses, domain names, tag lists, SMTP replies."""
