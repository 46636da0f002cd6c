"""Tests of mailauth.authres."""
