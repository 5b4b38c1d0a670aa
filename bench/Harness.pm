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
use Time::HiRes qw(clock_gettime sleep time);

our @EXPORT = qw($dir begin spawn stop stop_all slurp fail wait_for free_port fill_template start_sink sink_figures greets
    group_members cpu_us children_us cores_idle noise_begin noise_end median spread machine);

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

# A command that begins with {pin => CORES} runs on these cores only.
sub spawn {
    my ($name, @command) = @_;
    my $options = ref $command[0] ? shift @command : {};
    unshift @command, '/usr/bin/taskset', '-c', $options->{pin} if defined $options->{pin};
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

# Returns its address and process. Options for spawn() may stand first.
sub start_sink {
    my ($sink, $name, @options) = @_;
    my $how = ref $options[0] ? shift @options : {};
    my $pid = spawn($name, $how, $sink, '--listen', '127.0.0.1:0', '--name', $name, '--control', "$dir/$name.ctl", @options);
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

# --- what was used ---

sub group_members {
    my ($group) = @_;
    my @members;
    for my $path (glob '/proc/[0-9]*/stat') {
        # pid (comm) state ppid pgrp …; a comm can hold anything, parentheses too.
        push @members, $1 if slurp($path) =~ /^(\d+) \(.*\) \S \d+ (\d+) /s && $2 == $group;
    }
    return sort { $a <=> $b } @members;
}

# CPU µs that processes have used. The clock of a process (clock_getcpuclockid(3)) counts in nanoseconds and covers all
# its threads, those that have ended and io_uring's own among them; the ids of such clocks are part of the kernel's
# interface: ~pid << 3 | 2.
sub cpu_us {
    my (@pids) = @_;
    my $us = 0;
    for my $pid (@pids) {
        use integer;
        my $clock = (~$pid << 3) | 2;
        no integer;
        my $seconds = clock_gettime($clock);
        die "no CPU clock for process $pid: $!\n" if $seconds < 0;
        $us += $seconds * 1e6;
    }
    return $us;
}

# Of children that have ended; in ticks of 10 ms.
sub children_us {
    my (undef, undef, $user, $system) = times;
    return ($user + $system) * 1e6;
}

# Ticks of 10 ms that each core has been idle.
sub cores_idle {
    return map { (split)[4] + (split)[5] } grep { /^cpu\d/ } split /\n/, slurp('/proc/stat');
}

# Ticks that all processes which are none of ours have used, and those that the hypervisor gave to others. A process
# that ends in between is counted where its parent has waited for it.
sub foreign_ticks {
    my ($ticks, %is_ours) = (0);
    $is_ours{$_} = 1 for $main_pid, keys %started;
    for my $path (glob '/proc/[0-9]*/stat') {
        my ($pid, $rest) = slurp($path) =~ /^(\d+) \(.*\) \S (.*)/s or next;
        my @field = split ' ', $rest;    # ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime …
        next if $is_ours{$pid} || $is_ours{$field[1]};
        $ticks += $_ for @field[10 .. 13];
    }
    my ($steal) = slurp('/proc/stat') =~ /^cpu +(?:\d+ ){7}(\d+)/;
    return ($ticks, $steal);
}

sub noise_begin {
    my ($ticks, $steal) = foreign_ticks();
    return {ticks => $ticks, steal => $steal, at => time};
}

# The parts of the machine's CPU time since then that others and the hypervisor took.
sub noise_end {
    my ($noise) = @_;
    my ($ticks, $steal) = foreign_ticks();
    my $all = (time - $noise->{at}) * POSIX::sysconf(&POSIX::_SC_CLK_TCK) * machine()->{cpus};
    my $others = $ticks > $noise->{ticks} ? $ticks - $noise->{ticks} : 0;
    return {others => $others / $all, steal => ($steal - $noise->{steal}) / $all};
}

# --- results ---

# How far apart the extremes are, as a part of the median.
sub spread {
    my @sorted = sort { $a <=> $b } @_;
    return @sorted ? ($sorted[-1] - $sorted[0]) / median(@sorted) : 0;
}

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return @sorted % 2 ? $sorted[$#sorted / 2] : ($sorted[@sorted / 2 - 1] + $sorted[@sorted / 2]) / 2;
}

sub machine {
    my ($system, undef, $release) = POSIX::uname();
    my $cpuinfo = slurp('/proc/cpuinfo');
    my ($model) = $cpuinfo =~ /^model name\s*: (.*)$/m;
    my $cpus = () = $cpuinfo =~ /^processor\s*:/mg;
    my ($control) = slurp('/proc/sys/net/ipv4/tcp_congestion_control') =~ /(\w+)/;
    return {kernel => "$system $release", cpu => $model // 'unknown', cpus => $cpus, congestion_control => $control // 'unknown'};
}

1;
