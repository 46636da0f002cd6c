"""The tests of mailauth.policyd: the protocol's octets, the service's answers, and a real Postfix."""
