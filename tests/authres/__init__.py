# What belongs here: tests of mailauth.authres.
