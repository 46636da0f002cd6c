# What the drivers in Perl share: the loop that benchmarks/worker.py speaks to, and a zone in memory.
package Driver;
use strict;
use warnings;
use JSON::PP;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

# $prepare is given what to do and returns the function that does it.
sub serve {
    my ($prepare) = @_;
    my %calls;
    $| = 1;
    while ( my $line = <STDIN> ) {
        my $request = decode_json($line);
        my $answer  = eval {
            if ( defined( my $key = $request->{prepare} ) ) {
                $calls{$key} = $prepare->($request);
                return { result => $calls{$key}->() };
            }
            my ( $call, $loops ) = ( $calls{ $request->{time} }, $request->{loops} );
            my $start = clock_gettime(CLOCK_MONOTONIC);
            $call->() for 1 .. $loops;
            return { seconds => clock_gettime(CLOCK_MONOTONIC) - $start };
        } || { error => "$@" };
        print encode_json($answer), "\n";
    }
}

sub octets {
    my ($path) = @_;
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

# Net::DNS::Resolver's interface, as far as both libraries ask for it. Packets are made once, as our zone's answers are.
package Driver::Zone;
use Net::DNS;

sub new {
    my ( $class, $records ) = @_;
    my ( %packets, $absent );
    for (@$records) {
        my ( $name, $type, $value ) = split / /, $_, 3;
        my $packet = $packets{"$name/$type"} //= Net::DNS::Packet->new( $name, $type );
        $packet->push( answer => _record( $name, $type, $value ) );
    }
    $absent = Net::DNS::Packet->new( 'nothing.test', 'A' );
    $absent->header->rcode('NXDOMAIN');
    return bless { packets => \%packets, absent => $absent }, $class;
}

sub _record {
    my ( $name, $type, $value ) = @_;
    return Net::DNS::RR->new( name => $name, ttl => 3600, type => 'TXT', txtdata => [ unpack '(a255)*', $value ] )
        if $type eq 'TXT';
    return Net::DNS::RR->new("$name. 3600 IN $type $value");
}

sub send {
    my ( $self, $name, $type ) = @_;
    return $self->{packets}{ lc($name) . "/$type" } // $self->{absent};
}

sub errorstring { return 'NOERROR' }

1;
