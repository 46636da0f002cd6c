"""The tests of mailauth.dmarc, written from RFC 9989, section by section."""
