# Signs or verifies every message of a directory with Mail::DKIM, whose DNS is one record in a file.
#   maildkim.pl verify DIRECTORY RECORD-FILE       prints "NAME RESULT" a line
#   maildkim.pl sign DIRECTORY KEY-FILE            prints "NAME", the field, and "." a message; the canonicalisation is
#                                                  in the message's name: 17.relaxed.simple.eml
use strict;
use warnings;
use Mail::DKIM::Signer;
use Mail::DKIM::Verifier;
use Net::DNS;

my ( $action, $directory, $file ) = @ARGV;

sub slurp {
    open my $in, '<:raw', $_[0] or die "$_[0]: $!";
    local $/ = undef;
    return <$in>;
}

if ( $action eq 'verify' ) {
    my $record = slurp($file);
    no warnings 'redefine';
    *Mail::DKIM::DNS::query = sub {
        return Net::DNS::RR->new( name => $_[0], type => 'TXT', txtdata => [ unpack '(a255)*', $record ] );
    };
}

opendir my $names, $directory or die $!;
for my $name ( sort grep { /\.eml$/ } readdir $names ) {
    my $message = slurp("$directory/$name");
    if ( $action eq 'verify' ) {
        my $dkim = Mail::DKIM::Verifier->new;
        $dkim->PRINT($message);
        $dkim->CLOSE;
        print "$name ", $dkim->result, "\n";
    }
    else {
        my ( $header, $body ) = $name =~ /\.(\w+)\.(\w+)\.eml$/;
        my $dkim = Mail::DKIM::Signer->new(
            Algorithm => 'rsa-sha256', Method => "$header/$body", Domain => 'example.org', Selector => 'sel',
            KeyFile => $file,
        );
        $dkim->PRINT($message);
        $dkim->CLOSE;
        print "$name\n", $dkim->signature->as_string, "\n.\n";
    }
}
