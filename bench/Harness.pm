# What the bench's scripts share: processes that never outlive them, sinks, free ports, configurations from templates.
package Harness;
use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(setpgid WNOHANG);
use Time::HiRes qw(sleep time);

our @EXPORT = qw($dir begin spawn stop stop_all slurp fail wait_for free_port fill_template start_sink sink_figures greets
    median machine);

# Bounds of waiting: for a start, for an end.
use constant {START_S => 15, STOP_S => 5, POLL_S => 0.01};

# All that is written stands here and is gone at the end, however that comes.
our $dir;

my $main_pid = $$;
my $here     = dirname(abs_path(__FILE__));
my $name_of_script;
my %started;    # process group => name: all that must not outlive us

sub begin {
    ($name_of_script) = @_;
    $SIG{$_} = sub { exit 130 } for qw(INT TERM HUP);
    $| = 1;
    $dir = tempdir('postern-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
}

# --- processes: each in a group of its own, which is how its workers are found and how it is ended ---

sub spawn {
    my ($name, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        setpgid(0, 0);
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        open STDIN,  '<',  '/dev/null' or POSIX::_exit(126);
        open STDOUT, '>>', "$dir/$name.log" or POSIX::_exit(126);
        open STDERR, '>>', "$dir/$name.err" or POSIX::_exit(126);
        exec {$command[0]} @command or POSIX::_exit(127);
    }
    setpgid($pid, $pid);    # whoever comes first
    $started{$pid} = $name;
    return $pid;
}

sub reap {
    for my $group (@_) {
        waitpid $group, WNOHANG;
        delete $started{$group} if !kill 0, -$group;
    }
    return !grep { exists $started{$_} } @_;
}

# Ends these process groups.
sub stop {
    my @groups = @_;
    for my $signal (qw(CONT TERM KILL)) {
        kill $signal, map { -$_ } grep { exists $started{$_} } @groups;
        my $deadline = time + ($signal eq 'CONT' ? 0 : STOP_S);
        sleep POLL_S while !reap(@groups) && time < $deadline;
    }
}

sub stop_all { stop(keys %started) }

END {
    if ($$ == $main_pid) {
        my $status = $?;
        $SIG{$_} = 'IGNORE' for qw(INT TERM HUP);
        stop_all();
        chdir '/';
        File::Temp::cleanup();
        $? = $status;
    }
}

sub slurp {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return scalar(<$file>) // '';
}

# The end of a run that does not count: what is wrong, and what the parties said.
sub fail {
    my ($what, @names) = @_;
    print STDERR "$name_of_script: $what\n";
    for my $name (@names) {
        for my $said (grep { -s } glob "$dir/$name.{err,error}") {
            my @lines = split /\n/, slurp($said);
            print STDERR "  $name: $_\n" for @lines > 10 ? @lines[-10 .. -1] : @lines;
        }
    }
    exit 1;
}

sub wait_for {
    my ($seconds, $is_so) = @_;
    my $deadline = time + $seconds;
    while (!$is_so->()) {
        return 0 if time > $deadline;
        sleep POLL_S;
    }
    return 1;
}

# --- sinks and peers ---

# Returns its address and process.
sub start_sink {
    my ($sink, $name, @options) = @_;
    my $pid = spawn($name, $sink, '--listen', '127.0.0.1:0', '--name', $name, '--control', "$dir/$name.ctl", @options);
    my $address;
    wait_for(START_S, sub { slurp("$dir/$name.log") =~ /^listening (\S+)$/m && ($address = $1) })
        or fail("$name did not start", $name);
    return ($address, $pid);
}

sub sink_figures {
    my ($sink, $name) = @_;
    open my $answer, '-|', $sink, '--tell', "$dir/$name.ctl", 'stats' or die "$sink: $!\n";
    return eval { decode_json(scalar <$answer>) } // fail("$name gives no stats", $name);
}

# Below the range that outgoing connections take theirs from.
sub free_port {
    for (1 .. 1000) {
        my $port = 10000 + int rand 22000;
        return $port if IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => $port);
    }
    die "no free port\n";
}

# Writes peers/TEMPLATE with its @NAMES@ replaced to $dir/NAME; returns the path.
sub fill_template {
    my ($template, $name, %value) = @_;
    my $text = slurp("$here/peers/$template") || die "$here/peers/$template: $!\n";
    $value{DIR} = $dir;
    $text =~ s/@(\w+)@/$value{$1} \/\/ die "$template: unknown placeholder \@$1\@\n"/ge;
    my $path = "$dir/$name";
    open my $file, '>', $path or die "$path: $!\n";
    print $file $text;
    close $file or die "$path: $!\n";
    return $path;
}

# Serves: a client is greeted. `on_connect` runs for each connection, which the peer will log.
sub greets {
    my ($name, $port, $on_connect) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1) or return 0;
    $on_connect->() if $on_connect;
    local $SIG{ALRM} = sub { fail("$name accepts, but does not greet", $name) };
    local $SIG{PIPE} = 'IGNORE';
    alarm START_S;
    my $greeting = <$socket> // '';
    print $socket "QUIT\r\n";
    while (defined(my $line = <$socket>)) { }
    alarm 0;
    return $greeting =~ /^220/;
}

# --- results ---

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return @sorted % 2 ? $sorted[$#sorted / 2] : ($sorted[@sorted / 2 - 1] + $sorted[@sorted / 2]) / 2;
}

sub machine {
    my ($system, undef, $release) = POSIX::uname();
    my $cpuinfo = slurp('/proc/cpuinfo');
    my ($model) = $cpuinfo =~ /^model name\s*: (.*)$/m;
    my $cpus = () = $cpuinfo =~ /^processor\s*:/mg;
    return {kernel => "$system $release", cpu => $model // 'unknown', cpus => $cpus};
}

1;
