# Verifies messages with Mail::DKIM, as many as come on standard input: the octets of the key record and of the message,
# each behind a line with their number. Prints "RESULT DETAIL", one line a message.
use strict;
use warnings;
use Mail::DKIM::Verifier;
use Net::DNS;

$| = 1;
binmode STDIN;
my $record;
{
    no warnings 'redefine';
    *Mail::DKIM::DNS::query = sub {
        return Net::DNS::RR->new( name => $_[0], type => 'TXT', txtdata => [ unpack '(a255)*', $record ] );
    };
}

sub octets {
    my $number = <STDIN>;
    exit 0 unless defined $number;
    my $octets = '';
    read( STDIN, $octets, $number ) == $number or exit 1 if $number > 0;
    return $octets;
}

while (1) {
    $record = octets();
    my $message = octets();
    my $line = eval {
        my $dkim = Mail::DKIM::Verifier->new;
        $dkim->PRINT($message);
        $dkim->CLOSE;
        $dkim->result_detail;
    } // "raised $@";
    $line =~ s/\s+/ /g;
    print "$line\n";
}
