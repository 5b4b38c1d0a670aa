/* Every bound of the data path on one screen, each with where its number comes from. */
#ifndef POSTERN_ENGINE_LIMITS_H
#define POSTERN_ENGINE_LIMITS_H

#include "conf/limits.h"

/* One receive. Holds a 1 kB mail with its envelope at once, and a 15 MB one in about a thousand turns. */
#define IO_BUFFER_SIZE 16384u

/* Buffers lent to the kernel at a time. Few, so that the same warm ones go round and an idle proxy touches only
 * 64 × 16 KiB = 1 MiB; the others wait on a stack, last in, first out. A power of two (io_uring_register_buf_ring). */
#define IO_BUFFERS_LENT 64u

/* Buffer ids are 16 bits wide in a CQE (io_uring_setup_buf_ring(3)): below this one the usual buffers', above the
 * bulk ones'. */
#define IO_BULK_FIRST 65024u

/* A receive in the middle of a large mail: fewer turns, acknowledgements and sends. Measured on 1 MB mails: 64 KiB 0.94
 * of the CPU that 16 KiB take, 128 KiB 0.79, 256 KiB the same. Together 8 MiB a worker at most. */
#define IO_BULK_SIZE    131072u
#define IO_BULK_BUFFERS 64u
#define IO_BULK_LENT    8u

/* Submission queue of a worker; the completion queue is four times as deep (DESIGN §4). */
#define IO_SQ_ENTRIES 1024u

/* Completions that one turn of the loop runs at most: 10 µs each (measured) make 10 ms. Those behind are next. */
#define CQES_PER_TURN 1024u

/* Deadlines that expire in one turn, sessions that a sweep over all of them tells something, sessions that leave the
 * queue: each may close a session, which costs 100 µs in all its turns (measured), so that a turn stays at a
 * millisecond when thousands end in one instant. */
#define TIMERS_PER_TURN 8u
#define SWEPT_PER_TURN  8u
#define QUEUED_PER_TURN 8u
/* Places that a sweep, or the queue, only looks at in one turn: 50 ns each (measured, not in the cache). */
#define LOOKS_PER_TURN 1024u
/* Messages from other threads, each of which may take a session a step further. */
#define MESSAGES_PER_TURN 64u

/* With completions coming faster than they are run, work is begun after this many of them. Each of 8 closes is some 8
 * completions. */
#define COMPLETIONS_PER_WORK 256u

/* A worker that can't keep up lets deadlines pass unseen until it has taken this many completions, two for each of its
 * sessions: what came before its stall has been heard by then. */
#define COMPLETIONS_BEHIND_MAX 32768u

/* Turns in a row that bring nothing, though the kernel says that there is more: then there is not. One enter does 20
 * pieces of work, of which a poll that found nothing yet completes none. */
#define EMPTY_TURNS_MAX 8u

/* Kernel threads of a ring for what io_uring can't do without waiting, the half-closes of a session's end: thousands at
 * once would start hundreds, which then compete with the workers for the CPUs. */
#define IO_KERNEL_THREADS 2u

/* Accepts in flight for each listener of each worker: connections that one turn of the loop can take. */
#define ACCEPTS_PER_LISTENER 32u

/* Descriptors kept back for accepts and refusals beyond max-sessions (DESIGN §4). */
#define SLOTS_RESERVED 512u

/* Client octets kept while no backend has greeted; more is answered 421 4.7.0 (DESIGN §5). */
#define EARLY_BYTES_MAX 4096u

/* How long after its connection a peer that is not in `proxy-from`, of a listener that has such peers, is not greeted:
 * the header of a balancer that was forgotten there comes at once, seen up to 150 us behind the connection; the rest is
 * for a busy machine. */
#define PROXY_HEADER_WAIT_MS 50u

/* A greeting line without its end after this many octets is no greeting: RFC 5321 §4.5.3.1.5 allows 512. */
#define GREETING_LINE_MAX 512u

/* A whole greeting, all its lines (DESIGN §5: complete replies up to 4 KiB). */
#define GREETING_BYTES_MAX 4096u

/* What a session's replay log holds, and how often one session may be replayed (DESIGN §5). */
#define REPLAY_LOG_OCTETS_MAX 8192u
#define REPLAYS_MAX           2u

/* A reply that is longer is passed on in pieces, and its session can't be replayed meanwhile (DESIGN §5). */
#define REPLY_HELD_MAX 4096u

/* Different EHLO replies that a worker remembers; sessions that saw one more are not replayed. */
#define EHLO_OFFERS_MAX 64u

/* Hedges away from a backend that greets others: one for 20 sessions, ten at once (DESIGN §5). In twentieths. */
#define HEDGE_COST       20u
#define HEDGE_TOKENS_MAX 200u

/* Failures of backends that a worker has told and the manager not yet taken; more are dropped and counted. */
#define OUTCOMES_MAX 1024u

/* Sightings of clients likewise; the manager takes them ten times a second, so this is 80,000 sessions a second. */
#define SIGHTINGS_MAX 8192u

/* A session whose backend has gone down waits this long for a reply before it is replayed (DESIGN §5). */
#define REPLY_FROM_FAILED_MS 1000u

/* A backend that hangs up so soon behind a refusal means both: the end comes with the reply, or when a process has
 * gone. */
#define LAST_WORD_MS 1000u

/* A backend that says 421 unasked after so much quiet was tired of the client, and the client hears it; sooner it is
 * going down. Servers wait 5 minutes (RFC 5321 §4.5.3.2.7), or less when they are busy. */
#define IDLE_421_MS 60000u

/* One that ends without a word, with nothing owed, after so much quiet may have been tired of the client, too: Postfix
 * under stress waits 10 s. */
#define SILENT_END_MS 5000u

/* Backends that failed a session and are remembered until its mail is accepted elsewhere; of more, these first ones. */
#define BLAMED_MAX 8u

/* A backend is put in doubt so often at most by one worker: the health module asks no more often either. */
#define DOUBT_MS 100u

/* Attempts of a worker that outlive their sessions, to leave politely; with more the oldest closes without a word. From
 * the descriptors in reserve (SLOTS_RESERVED), a quarter of them. */
#define ORPHANS_MAX 128u

/* All of a session's search for a backend, after which it hears 421 (DESIGN §5). */
#define SEARCH_TIME_MAX_MS 60000u

/* Questions of a worker's gate that await the DNS; with more a recipient hears 450. Of what is free a client may have a
 * quarter, so that some who ask for what nobody answers can't take it all. */
#define GATE_QUESTIONS_MAX   2048u
#define GATE_QUESTIONS_SHARE 4u
/* Counters of clients' questions; who shares one with another client shares its part, too. A power of two. */
#define GATE_ASKERS 4096u
/* Clients that the gate remembers to have waited for its greeting: 1 MiB, touched as they come. */
#define GATE_VISITORS 131072u

/* A client that is not admitted, and refused at its recipients, may be silent for so long. */
#define REFUSAL_IDLE_MS 30000u

/* After our own last word: how long, and how much, unread input is thrown away so that the close is no RST. */
#define LINGER_TIME_MS   2000u
#define LINGER_BYTES_MAX 65536u

/* Lines in the log of sessions over a limit, a second and worker: of a flood the first ones tell as much as all. */
#define LIMIT_LINES_MAX 10u

/* Content whose backend has died is read to its end before the 421, since the client hears nothing earlier: this much
 * quiet, or this much beyond [gate] max-size, end it too (DESIGN §5). */
#define SWALLOW_QUIET_MS    5000u
#define SWALLOW_EXTRA_BYTES 1048576u

/* Content that is read and thrown away has to move by so much, after the first minutes: a client that says an octet
 * once in a while would hold its place for ever. A thousandth of what the slowest link of today carries. */
#define CONTENT_GRACE_MINUTES    3u
#define CONTENT_BYTES_PER_MINUTE 1024u

/* A stop and `shutdown sessions` end no more than 6,400 sessions of a worker in a second, so that their clients do not
 * all come back at once. */
#define SHUT_DOWN_TICK_MS       20u
#define SHUT_DOWN_ENDS_PER_TICK 128u

/* A session inside TLS counts as idle when its backend had the last word so long ago: the next command of a client that
 * is not idle is under way for less. */
#define TLS_QUIET_MS 500u
/* The same where the client's last words may have been a group of commands with content: longer than the 10 s that
 * Postfix gathers its replies at most (smtpd(8) flushes them then), so that the next one would have come. */
#define TLS_GROUP_QUIET_MS 12000u
/* Inside TLS more octets than these, without the backend's word between them, may hold MAIL, RCPT, BDAT and a mail of a
 * few lines, in records of their own. The end of a handshake with EHLO behind it is less. */
#define TLS_COMMAND_MAX 256u
/* A close_notify in TLS 1.3: a header of 5, its 2 octets and the type, a tag of 16 (RFC 8446 §5.2). The shortest
 * command is 4 longer. */
#define TLS_ALERT_MAX 24u
/* A client in a transaction, or between two chunks, that says nothing for so long does not go on with it now. */
#define COMMAND_QUIET_MS 2000u

/* At a stop a listener takes no new connection, and accepts for so long those whose handshake has begun: a round trip
 * between any two continents. */
#define LISTENER_DRAIN_MS 300u
/* After a second signal: what last words get to leave the machine. */
#define LAST_WORDS_IN_HASTE_MS 100u

/* Backends in one pool; a session's tried ones are a bit set of this width. */
#define BACKENDS_MAX  256u
#define TIERS_MAX     16u
#define LISTENERS_MAX 32u
#define WORKERS_MAX   64u

#endif
