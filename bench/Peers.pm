# The peers of a comparison and their places: two sinks, and before them each peer in a process of its own, all fresh for
# each part of the bench and gone at its end. Also one run of bench/load against one of them, and what it cost whom.
package Peers;
use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

use Harness;

our @EXPORT = qw($out begin_site end_site start_peer stop_peer start_ms resident_kb reputations_of start_load load_result
    hold_sessions run site_figures sink_addresses versions programs);

# Bounds of waiting: for a start, for the last log line of a run (where one may never
# come), for idle sessions.
use constant {START_S => 15, SETTLE_S => 10, DROPPED_S => 1, HOLD_S => 30};

our $out;    # where the programs were built

# `line` is how a session looks in the peer's log. HAProxy drops a line when another of its threads has held the log's
# descriptor for too long (fd_write_frag_line()), as on a machine where threads have to wait for a core: `may_drop` is the
# part of a run's lines that may be missing.
my %kinds = (
    postern => {
        program  => sub { "$out/postern" },
        template => 'postern.ini',
        argv     => sub { ('-c', $_[0]) },
        line     => qr/ session id=/,
        version  => '-V',
    },
    haproxy => {
        program  => sub { '/usr/sbin/haproxy' },
        template => 'haproxy.cfg',
        argv     => sub { ('-db', '-f', $_[0]) },
        line     => qr{ smtp sinks/},
        may_drop => 0.005,
        version  => '-v',
    },
    nginx => {
        program  => sub { '/usr/sbin/nginx' },
        template => 'nginx.conf',
        argv     => sub { ('-p', $dir, '-e', "$dir/nginx.error", '-c', $_[0]) },
        line     => qr/./,
        version  => '-v',
    },
);

sub programs {
    return ((map { "$out/$_" } qw(bench/sink bench/load bench/reputations posternctl)), map { $_->{program}->() } values %kinds);
}

sub versions {
    my %version;
    for my $kind (sort keys %kinds) {
        ($version{$kind}) = split /\n/, `'@{[$kinds{$kind}{program}->()]}' $kinds{$kind}{version} 2>&1`;
    }
    return \%version;
}

# --- a site ---

# The current one: {sinks, peers, pin_peers, pin_rest, workers}.
my $site;

# Two sinks and the peers given (start_peer): peers => [...], workers => N, pin_peers => CORES, pin_rest => CORES,
# sink_address => ADDRESS:PORT. Returns the peers.
sub begin_site {
    my (%options) = @_;
    $site = {workers => 2, %options, sinks => [], peers => []};
    for my $name (qw(sink1 sink2)) {
        my ($address, $pid) = start_sink("$out/bench/sink", $name, {pin => $site->{pin_rest}}, '--no-hash',
            '--listen', $options{sink_address} // '127.0.0.1:0');
        push @{$site->{sinks}}, {name => $name, pid => $pid, address => $address};
    }
    start_peer($_) for @{$options{peers}};
    return @{$site->{peers}};
}

sub end_site {
    stop_all();
    system 'rm', '-rf', glob "$dir/*";
    undef $site;
}

sub sink_addresses { return map { $_->{address} } @{$site->{sinks}} }

# A peer: {kind, name, program, workers, reputation, backends, state}; all but the kind have defaults. `program` is another
# build than the kind's own, `backends` are addresses by name, the two sinks by default.
sub start_peer {
    my ($what) = @_;
    my $peer = {%$what};
    my $kind = $kinds{$peer->{kind}};
    my $name = $peer->{name} //= $peer->{kind};
    push @{$site->{peers}}, $peer;
    if ($peer->{kind} eq 'direct') {
        $peer->{address} = $site->{sinks}[0]{address};
        return $peer;
    }
    $peer->{port}    = free_port();
    $peer->{address} = "127.0.0.1:$peer->{port}";
    $peer->{$_} = 0 for qw(lines log_at sessions);
    my $config = configure($peer);
    $peer->{pid} = spawn($name, {pin => $site->{pin_peers}}, program_of($peer), $kind->{argv}->($config));
    wait_for(START_S, sub {
        waitpid($peer->{pid}, WNOHANG) == 0 or fail("$name did not start", $name);
        return greets($name, $peer->{port}, sub { $peer->{sessions}++ });
    }) or fail("$name does not serve", $name);
    wait_for(START_S, sub { reputations_of($peer)->{kept} eq 'on' }) or fail("$name does not load its reputations", $name)
        if $peer->{kind} eq 'postern' && ($peer->{reputation} // 'yes') eq 'yes';
    $peer->{pids} = [group_members($peer->{pid})];
    return $peer;
}

sub program_of {
    my ($peer) = @_;
    return $peer->{program} // $kinds{$peer->{kind}}{program}->();
}

# Writes its configuration.
sub configure {
    my ($peer) = @_;
    my ($name, $kind) = @$peer{qw(name kind)};
    my $backends = $peer->{backends} // {map { $_->{name} => $_->{address} } @{$site->{sinks}}};
    unlink "$dir/$name.log";
    return fill_template($kinds{$kind}{template}, "$name.conf",
        PORT       => $peer->{port},
        NAME       => $name,
        WORKERS    => $peer->{workers} // $site->{workers},
        REPUTATION => $peer->{reputation} // 'yes',
        STATE      => $peer->{state} // "$dir/$name.state",
        BACKENDS   => backend_lines($kind, $backends),
    );
}

sub backend_lines {
    my ($kind, $backends) = @_;
    my %line = (
        postern => "[backend %s]\ntier = primary\naddress = %s\n",
        haproxy => "    server %s %s\n",
        nginx   => "        server %2\$s; # %1\$s\n",
    );
    return join '', map { sprintf $line{$kind}, $_, $backends->{$_} } sort keys %$backends;
}

# What postern says of its table.
sub reputations_of {
    my ($peer) = @_;
    my $text = `$out/posternctl -s $dir/$peer->{name}.sock show reputation json 2>/dev/null`;
    return eval { decode_json($text) } // {kept => 'not yet'};
}

# kB of memory that a peer's processes hold.
sub resident_kb {
    my ($peer) = @_;
    my $sum = 0;
    for my $pid (@{$peer->{pids}}) {
        $sum += $1 if slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m;
    }
    return $sum;
}

# ms from the start of its program until a client is greeted.
sub start_ms {
    my ($what) = @_;
    my $peer   = {%$what, port => free_port()};
    my $name   = $peer->{name};
    my $config = configure($peer);
    my $began  = time;
    my $pid    = spawn($name, program_of($peer), $kinds{$peer->{kind}}{argv}->($config));
    my ($socket, $ms);
    while (!($socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $peer->{port}))) {
        fail("$name does not serve", $name) if time - $began > START_S;
        sleep 0.0005;
    }
    local $SIG{ALRM} = sub { fail("$name accepts, but does not greet", $name) };
    alarm START_S;
    my $greeting = <$socket> // '';
    $ms = (time - $began) * 1000;
    alarm 0;
    fail("$name greets with: $greeting", $name) if $greeting !~ /^220/;
    close $socket;
    stop($pid);
    return $ms;
}

sub stop_peer {
    my ($peer) = @_;
    stop($peer->{pid}) if $peer->{pid};
    $site->{peers} = [grep { $_ != $peer } @{$site->{peers}}];
}

# Mails taken and sessions open at all sinks together.
sub site_figures {
    my %sum = (mails => 0, current => 0);
    for my $one (@{$site->{sinks}}) {
        my $stats = sink_figures("$out/bench/sink", $one->{name});
        $sum{$_} += $stats->{$_} for keys %sum;
    }
    return \%sum;
}

# Lines that the peer's log has gained since it was last asked are added to $peer->{lines}.
sub read_log {
    my ($peer) = @_;
    open my $log, '<', "$dir/$peer->{name}.log" or return $peer->{lines};
    seek $log, $peer->{log_at}, 0;
    while (my $line = <$log>) {
        last if $line !~ /\n\z/;
        $peer->{log_at} += length $line;
        $peer->{lines}++ if $line =~ $kinds{$peer->{kind}}{line};
    }
    return $peer->{lines};
}

# --- load ---

my $loads = 0;

# bench/load against a peer, in the background: its name for load_result().
sub start_load {
    my ($peer, @options) = @_;
    my $name = 'load' . ++$loads;
    my $pid = spawn($name, {pin => $site->{pin_rest}}, "$out/bench/load", '--target', $peer->{address}, @options);
    return {name => $name, pid => $pid, peer => $peer};
}

sub load_result {
    my ($load) = @_;
    waitpid $load->{pid}, 0;
    my $status = $?;
    stop($load->{pid});
    my $result = eval { decode_json(slurp("$dir/$load->{name}.log")) };
    fail("$load->{peer}{name}: the load gives no result", $load->{name}, $load->{peer}{name}) if $status != 0 || !$result;
    unlink "$dir/$load->{name}.log", "$dir/$load->{name}.err";
    return $result;
}

# A session is over for the client before it is over for the proxy, which has sockets to close and a line to write.
sub settle {
    my ($peer, $sessions, $mails, $before, $has_lost) = @_;
    my $name = $peer->{name};
    $peer->{sessions} += $sessions if $peer->{pid};
    my $may_drop = $peer->{pid} ? $kinds{$peer->{kind}}{may_drop} // 0 : 0;
    wait_for($may_drop ? DROPPED_S : SETTLE_S, sub { read_log($peer) >= $peer->{sessions} }) if $peer->{pid} && !$has_lost;
    # Probes come and go; all else must be as before.
    wait_for(SETTLE_S, sub { site_figures()->{current} <= $before->{current} + 2 });
    if ($has_lost) {
        sleep 0.5;
        $peer->{sessions} = read_log($peer) if $peer->{pid};
        return;
    }
    my $arrived = site_figures()->{mails} - $before->{mails};
    fail("$name: $mails mails sent, $arrived arrived", $name) if $arrived != $mails;
    return if !$peer->{pid};
    my $missing = $peer->{sessions} - read_log($peer);
    fail("$name: of $sessions sessions $missing are not in its log", $name) if $missing < 0 || $missing > $may_drop * $sessions;
    $peer->{sessions} -= $missing;
    fail("$name: a process of it has died", $name) if "@{$peer->{pids}}" ne join ' ', group_members($peer->{pid});
}

# Idle sessions, held until their load is stopped; returns when all are. They are of no run's count.
sub hold_sessions {
    my ($peer, $count) = @_;
    my $before = site_figures()->{current};
    my $load = start_load($peer, '--sessions', $count, '--rate', 3000, '--hold', 3600, '--source', '127.2.0.0/16');
    # Two probes may have been open before.
    wait_for(HOLD_S, sub { site_figures()->{current} >= $before + $count - 2 })
        or fail("$peer->{name} does not hold $count sessions", $peer->{name}, $load->{name});
    return $load;
}

# One run of bench/load to its end. A run counts only if every session was accepted, the sinks saw exactly the mails sent
# and the peer logged exactly one line a session; with {may_lose => 1} before the options, as where the load nears what
# can be served, the lost are counted instead. Returns what the load measured and what a session cost each party.
sub run {
    my ($peer, @options) = @_;
    my $may_lose = ref $options[0] && (shift @options)->{may_lose};
    my @own    = @{$peer->{pids} // []};
    my @sinks  = map { $_->{pid} } @{$site->{sinks}};
    my $before = site_figures();
    my $noise  = noise_begin();
    my @idle   = cores_idle();
    my ($cpu, $sinks_cpu, $began) = (cpu_us(@own), cpu_us(@sinks), time);
    my $result  = load_result(start_load($peer, @options));
    my $seconds = time - $began;
    my @idle_after = cores_idle();
    my $quiet      = noise_end($noise);
    my $count      = $result->{sessions};
    fail("$peer->{name}: not all were accepted: " . JSON::PP->new->canonical->encode($result), $peer->{name})
        if $result->{accepted} != $count && !$may_lose;
    settle($peer, $count, $result->{mails}, $before, $result->{accepted} != $count);
    return {
        lost           => $count - $result->{accepted},
        cpu_us         => (cpu_us(@own) - $cpu) / $count,
        sinks_cpu_us   => (cpu_us(@sinks) - $sinks_cpu) / $count,
        client_cpu_us  => $result->{cpu_us_per_session},
        sessions_per_s => $result->{sessions_per_s},
        (map { ("session_${_}_ms" => $result->{session_ms}{$_}) } qw(p50 p90 p99 p999 max)),
        (map { ("greeting_${_}_ms" => $result->{greeting_ms}{$_}) } qw(p50 p90 p99 p999 max)),
        (map { ("idle_core$_" => ($idle_after[$_] - $idle[$_]) / 100 / $seconds) } 0 .. $#idle),
        %$quiet,
    };
}

1;
