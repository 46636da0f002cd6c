# Mail::SPF, asked as benchmarks/peers/__init__.py says.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Driver;
use Mail::SPF;

sub checker {
    my ($request) = @_;
    my $server = Mail::SPF::Server->new(
        dns_resolver => Driver::Zone->new( $request->{zone} ),
        hostname     => 'mx.mailbox.test',
    );
    return sub {
        my $spf = Mail::SPF::Request->new(
            versions      => [1],
            scope         => 'mfrom',
            identity      => $request->{mail_from},
            ip_address    => $request->{ip},
            helo_identity => $request->{helo},
        );
        return $server->process($spf)->code;
    };
}

Driver::serve( \&checker );
