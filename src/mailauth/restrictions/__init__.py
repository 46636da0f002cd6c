"""Restrictions: what is rejected or deferred at which phase, as values in lists; the first decision of a list wins.

They are those of Postfix, by the same names::

    from mailauth.restrictions import Restrictions, check_spf, permit_mynetworks, reject_rbl

    Restrictions(client=[permit_mynetworks("198.51.100.0/24"), reject_rbl("zen.example")], recipient=[check_spf()])

To read: `phases` (the five lists), `base` (one restriction, and how a list is evaluated), then the restrictions
themselves by what they judge: `client`, `helo`, `sender`, `recipient`, `lists`, `authentication`.
"""

# Names and decisions are Postfix's (postconf(5), SMTPD_ACCESS_README): administrators know them, and the tests hold
# them against a real Postfix. Differences are written down in docs/conformance.md.

from __future__ import annotations

from mailauth.mail.reply import Reply as Reply
from mailauth.restrictions.authentication import check_dkim, check_dmarc, check_spf
from mailauth.restrictions.base import Restriction, warn_if_reject
from mailauth.restrictions.client import (
    permit_authenticated,
    permit_mynetworks,
    reject_unauth_pipelining,
    reject_unknown_client_hostname,
    reject_unknown_reverse_client_hostname,
)
from mailauth.restrictions.helo import reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname
from mailauth.restrictions.lists import reject_ebl_sender, reject_rbl, reject_rhsbl
from mailauth.restrictions.phases import Restrictions as Restrictions
from mailauth.restrictions.recipient import greylist, reject_unauth_destination
from mailauth.restrictions.sender import reject_non_fqdn_sender, reject_unknown_sender_domain
from mailauth.transaction.checks import Transaction as Transaction
from mailauth.transaction.decision import Action as Action
from mailauth.transaction.decision import Decision as Decision
from mailauth.transaction.decision import permit as permit
from mailauth.transaction.decision import refuse as refuse

# The restrictions by their names in a configuration. The words for writing one's own (`Decision`, `refuse`, ...) and
# `Restrictions`, which takes them all, are here, too.
__all__ = [
    "Restriction",
    "check_dkim",
    "check_dmarc",
    "check_spf",
    "greylist",
    "permit_authenticated",
    "permit_mynetworks",
    "reject_ebl_sender",
    "reject_invalid_helo_hostname",
    "reject_non_fqdn_helo_hostname",
    "reject_non_fqdn_sender",
    "reject_rbl",
    "reject_rhsbl",
    "reject_unauth_destination",
    "reject_unauth_pipelining",
    "reject_unknown_client_hostname",
    "reject_unknown_reverse_client_hostname",
    "reject_unknown_sender_domain",
    "warn_if_reject",
]
