#!/bin/sh
# What belongs here: the main job, shown from end to end with the messages of RFC 6376 and RFC 8463 and a DNS zone in a
# file, so that it runs anywhere and always says the same. `make demo` runs it with the command on PATH.
set -u
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

# show WHAT EXPECTED-STATUS ARGUMENTS...: print the command, run it, and check its exit status.
show() {
    printf '\n=== %s\n' "$1"
    expected=$2
    shift 2
    printf '$ mailauth'
    for word in "$@"; do printf ' %s' "$word" | sed "s#$scratch/##"; done
    printf '\n\n'
    mailauth "$@"
    status=$?
    printf '\n(exit status %s)\n' "$status"
    if [ "$status" -ne "$expected" ]; then
        printf 'demo: expected exit status %s\n' "$expected" >&2
        failed=1
    fi
}

football="--zone demo.zone --ip 192.0.2.1 --helo mail.football.example.com --mail-from joe@football.example.com
    --rcpt-to suzie@shopping.example.net --rbl bl.example.org
    --hostname mx.shopping.example.net"

# shellcheck disable=SC2086
{
    show 'A message with two signatures that pass (RFC 8463 appendix A.3)' 0 \
        check $football rfc8463-a3.eml

    sed 's/Are you hungry yet/Are you hungry now/' rfc8463-a3.eml > "$scratch/changed.eml"
    show 'The same message with one word of its body changed (which alone rejects nothing: RFC 6376 section 6.3)' 0 \
        check $football "$scratch/changed.eml"

    show 'The same message from a client that a block list knows, and that SPF does not' 1 \
        check --zone demo.zone --ip 203.0.113.99 --helo pool-99.example.org --mail-from joe@football.example.com \
        --rcpt-to suzie@shopping.example.net --rbl bl.example.org --hostname mx.shopping.example.net rfc8463-a3.eml

    show 'The changed message from a stranger: DMARC fails, which alone rejects nothing (RFC 9989 section 7.4)' 0 \
        check --zone demo.zone --ip 198.51.100.99 --helo stranger.example.net --mail-from eve@stranger.example.net \
        --rcpt-to suzie@shopping.example.net --hostname mx.shopping.example.net "$scratch/changed.eml"

    show 'Where that policy was found, question by question, and what would be aligned' 0 \
        dmarc explain football.example.com --spf stranger.example.net --dkim example.com --zone demo.zone

    show 'The message of RFC 6376 appendix A.2, as JSON for programs' 0 \
        check --json --zone demo.zone --ip 192.0.2.1 --helo client1.football.example.com \
        --mail-from joe@football.example.com --rcpt-to suzie@shopping.example.net --hostname mx.shopping.example.net rfc6376-a2.eml

    show 'Greylisting: the first attempt is deferred' 75 \
        check $football --greylist "sqlite:///$scratch/greylist.db" --now 2026-11-01T12:00:00Z rfc8463-a3.eml

    show 'Greylisting: ten minutes later the sender tries again and is let through' 0 \
        check $football --greylist "sqlite:///$scratch/greylist.db" --now 2026-11-01T12:10:00Z rfc8463-a3.eml
}

printf '\nNext: docs/tutorials/message.md explains such a report line by line; mailauth --help lists the commands.\n'

exit $failed
