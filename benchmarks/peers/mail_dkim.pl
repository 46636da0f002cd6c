# Mail::DKIM, asked as benchmarks/peers/__init__.py says.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Driver;
use Mail::DKIM::PrivateKey;
use Mail::DKIM::Signer;
use Mail::DKIM::Verifier;

sub verifier {
    my ($request) = @_;
    my $message = Driver::octets( $request->{message} );
    my $zone    = Driver::Zone->new( $request->{zone} );
    return sub {
        Mail::DKIM::DNS::resolver($zone);
        my $dkim = Mail::DKIM::Verifier->new;
        $dkim->PRINT($message);
        $dkim->CLOSE;
        return [ map { $_->result } $dkim->signatures ];
    };
}

sub signer {
    my ($request) = @_;
    my $message = Driver::octets( $request->{message} );
    my $key     = Mail::DKIM::PrivateKey->load( File => $request->{pem} );
    return sub {
        my $dkim = Mail::DKIM::Signer->new(
            Algorithm => $request->{algorithm},
            Method    => $request->{canonicalization},
            Domain    => $request->{domain},
            Selector  => $request->{selector},
            Key       => $key,
        );
        $dkim->PRINT($message);
        $dkim->CLOSE;
        return $dkim->signature->as_string . "\r\n";
    };
}

Driver::serve( sub { $_[0]{case} eq 'dkim-sign' ? signer(@_) : verifier(@_) } );
