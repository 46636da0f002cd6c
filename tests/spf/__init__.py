"""The tests of mailauth.spf, written from RFC 7208, section by section."""
