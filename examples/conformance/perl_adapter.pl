#!/usr/bin/perl
# An adapter for "python -m mailauth.testing.conformance": Mail::SPF, Mail::DKIM and Mail::DKIM::ARC (Debian:
# libmail-spf-perl, libmail-dkim-perl), which ask the DNS server of the request.
use strict;
use warnings;
use JSON::PP;
use MIME::Base64;
use Net::DNS;
use Mail::DKIM::ARC::Verifier;
use Mail::DKIM::DNS;
use Mail::DKIM::Verifier;
use Mail::SPF;

$| = 1;
my $json = JSON::PP->new->utf8;

while ( my $line = <STDIN> ) {
    my $request = $json->decode($line);
    my $dns     = Net::DNS::Resolver->new(
        nameservers => [ $request->{dns}{address} ],
        port        => $request->{dns}{port},
        retry       => 1, retrans => 1, udp_timeout => 1, tcp_timeout => 1, searchlist => [],
    );
    Mail::DKIM::DNS::resolver($dns);
    my %answers = ( spf => \&spf, dkim => \&dkim, arc => \&arc );
    my $answer  = $answers{ $request->{protocol} };
    my $reply   = $answer ? eval { $answer->( $request, $dns ) } // { error => "$@" } : { unsupported => JSON::PP::true };
    print $json->encode($reply), "\n";
}

sub spf {
    my ( $request, $dns ) = @_;
    # Mail::SPF takes the time from the system.
    return { unsupported => 'no clock' } if grep { "@{[ ref $_->{data} ? @{ $_->{data} } : () ]}" =~ /%\{t/i } @{ $request->{zone} };
    my $helo = $request->{identity} eq 'helo';
    my $id   = $helo ? $request->{helo} : $request->{mail_from} || "postmaster\@$request->{helo}";
    my $done = Mail::SPF::Server->new( dns_resolver => $dns, hostname => $request->{receiver}, default_authority_explanation => '' )
      ->process( Mail::SPF::Request->new(
        versions => [1], scope => $helo ? 'helo' : 'mfrom', identity => $id,
        ip_address => $request->{ip}, helo_identity => $request->{helo} ) );
    my $reply = { result => $done->code };
    $reply->{explanation} = '' . $done->authority_explanation if $done->code eq 'fail';
    return $reply;
}

sub dkim {
    my ($request) = @_;
    my $verifier = Mail::DKIM::Verifier->new;
    $verifier->PRINT( decode_base64( $request->{message} ) );
    $verifier->CLOSE;
    # The version in Debian 12 knows RSA only.
    return { unsupported => 'Ed25519' } if grep { ( $_->algorithm // '' ) =~ /^ed25519/ } $verifier->signatures;
    my %words = ( pass => 'success', temperror => 'tempfail' );
    return { signatures => [ map { $words{ $_->result } // 'permfail' } $verifier->signatures ] };
}

sub arc {
    my ($request) = @_;
    my $verifier = Mail::DKIM::ARC::Verifier->new;
    $verifier->PRINT( decode_base64( $request->{message} ) );
    $verifier->CLOSE;
    my $result = $verifier->result;    # its "invalid" and "temperror" are a fail in RFC 8617 section 4.4
    return { result => $result =~ /^(pass|none)$/ ? $result : 'fail' };
}
