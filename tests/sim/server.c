/* Backends: small SMTP servers that keep what they are told, and fail as the world wants it. A reply to a command names
 * the command's own tag, so that the client sees whose reply it gets. */
#include "tests/sim/sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SERVERS_MAX 1024u
#define COMMAND_MAX 2200u
#define OUT_MAX     4096u

struct server {
    bool is_open;
    struct wire *wire;
    unsigned number; /* its backend's */
    bool has_fault;
    bool has_greeted, is_silent, is_leaving, in_content, has_mail, has_quit;
    unsigned recipients;
    int mail; /* whose content it gets; -1: none yet */
    unsigned mail_lines;
    bool is_content_right;
    unsigned chunk_left; /* octets of BDAT */
    bool has_chunks, chunk_is_last;
    uint64_t wake_ms;
    uint64_t active_ms; /* when it last heard or said anything */
    unsigned line_length, out_length;
    char line[COMMAND_MAX];
    char out[OUT_MAX];
};

struct sim_backend sim_backends[SIM_BACKENDS_MAX];
unsigned sim_backends_count;

static struct server servers[SERVERS_MAX];
static unsigned touched, open_count;

void servers_begin(void) {
    for (unsigned i = 0; i < touched; i++)
        servers[i].is_open = false;
    touched = open_count = 0;
}

unsigned servers_open(void) {
    return open_count;
}

static void end(struct server *server, bool by_reset) {
    sim_trace("vm%u #%d %s", server->number, (int)(server - servers), by_reset ? "resets" : "closes");
    if (by_reset)
        wire_they_reset(server->wire);
    else
        wire_they_close(server->wire);
    server->is_open = false;
    open_count--;
}

static void say(struct server *server, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct server *server, const char *format, ...) {
    va_list arguments;
    size_t room = sizeof server->out - server->out_length;
    va_start(arguments, format);
    int length = vsnprintf(server->out + server->out_length, room, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < room)
        server->out_length += (unsigned)length;
}

static struct sim_backend *backend_of(const struct server *server) {
    return &sim_backends[server->number];
}

/* True when the fault has happened, in place of the reply. */
static bool fails_at(struct server *server, enum stage stage) {
    const struct sim_backend *backend = backend_of(server);
    if (!server->has_fault || backend->stage != stage || backend->fault < FAULT_CLOSES)
        return false;
    sim_trace("vm%u #%d fails at stage %u by fault %u", server->number, (int)(server - servers), stage, backend->fault);
    server->is_leaving = true;
    if (backend->fault == FAULT_RESETS) {
        end(server, true);
    } else if (backend->fault == FAULT_SAYS_421) {
        say(server, "421 4.3.2 going down\r\n");
    } else if (backend->fault == FAULT_IS_SILENT) {
        server->is_leaving = false;
        server->is_silent = true;
    } else if (backend->fault == FAULT_TALKS_GARBAGE) {
        say(server, "what do you mean?\r\n");
    } else if (backend->fault == FAULT_BREAKS_OFF) {
        say(server, sim_once_in(2) ? "25" : "250-half of\r\n25");
    }
    return true;
}

static void greet(struct server *server) {
    server->has_greeted = true;
    enum fault fault = server->has_fault ? backend_of(server)->fault : FAULT_NONE;
    if (fault == FAULT_HANGS) {
        server->is_silent = true;
    } else if (fault == FAULT_GREETS_421) {
        say(server, "421 4.3.2 too busy\r\n");
        server->is_leaving = true;
    } else if (fault == FAULT_GREETS_554) {
        say(server, "554 no service\r\n");
        server->is_leaving = true;
    } else if (fault == FAULT_GREETS_GARBAGE) {
        say(server, "hello\r\n");
        server->is_leaving = true;
    } else if (fault == FAULT_GREETS_AND_LEAVES) {
        say(server, "220 vm ESMTP\r\n421 4.3.2 going down\r\n");
        server->is_leaving = true;
    } else {
        if (sim_once_in(5))
            say(server, "220-vm\r\n");
        say(server, "220 vm ESMTP\r\n");
    }
}

int servers_on_connect(const struct address *address, struct wire *wire) {
    unsigned number = ntohs(address->in4.sin_port) - 1u;
    struct sim_backend *backend = &sim_backends[number];
    bool has_fault = backend->fault != FAULT_NONE && sim_once_in(backend->once_in);
    if (has_fault && backend->fault == FAULT_REFUSES)
        return -ECONNREFUSED;
    if (backend->fault == FAULT_UNREACHABLE)
        return -EAGAIN;
    struct server *server = NULL;
    for (unsigned i = 0; i < touched && server == NULL; i++)
        server = servers[i].is_open ? NULL : &servers[i];
    if (server == NULL)
        server = &servers[touched++];
    memset(server, 0, offsetof(struct server, line));
    server->is_open = true;
    server->wire = wire;
    server->number = number;
    server->has_fault = has_fault;
    server->mail = -1;
    server->wake_ms = sim_now_ms() + (sim_once_in(4) ? sim_below(3000) : sim_below(4));
    backend->connections++;
    open_count++;
    sim_trace("vm%u #%d gets a connection%s", number, (int)(server - servers), has_fault ? ", to fail" : "");
    return 0;
}

/* --- commands --- */

static const char *tag_of(const char *line, char tag[static 32]) {
    const char *at = strstr(line, "#");
    unsigned length = at == NULL ? 0 : (unsigned)strspn(at + 1, "0123456789");
    snprintf(tag, 32, "#%.*s", (int)length, at == NULL ? "" : at + 1);
    return tag;
}

static void begin_text(struct server *server) {
    server->mail = -1;
    server->mail_lines = 0;
    server->is_content_right = true;
}

static void begin_content(struct server *server) {
    if (server->recipients == 0) {
        say(server, "554 5.5.1 no valid recipients\r\n");
        return;
    }
    if (fails_at(server, STAGE_DATA))
        return;
    say(server, "354 go on\r\n");
    server->in_content = true;
    begin_text(server);
}

static void on_recipient(struct server *server, const char *line) {
    char tag[32];
    if (fails_at(server, STAGE_RCPT))
        return;
    if (strstr(line, "<drop") != NULL) { /* as Exim's `drop`: refused in words, and gone */
        say(server, "550 5.7.1 you are not wanted %s\r\n", tag_of(line, tag));
        server->is_leaving = true;
    } else if (strstr(line, "<unknown") != NULL) {
        say(server, "550 5.1.1 unknown %s\r\n", tag_of(line, tag));
    } else {
        server->recipients += server->has_mail;
        say(server, "%s %s\r\n", server->has_mail ? "250 2.1.5 ok" : "503 5.5.1 need MAIL", tag_of(line, tag));
    }
}

static void end_content(struct server *server);

static void end_chunk(struct server *server) {
    if (server->recipients == 0)
        say(server, "554 5.5.1 no valid recipients\r\n");
    else if (server->chunk_is_last)
        end_content(server);
    else
        say(server, "250 2.0.0 chunk\r\n");
}

static void begin_chunk(struct server *server, const char *size) {
    if (!server->has_chunks && fails_at(server, STAGE_DATA))
        return;
    if (!server->has_chunks)
        begin_text(server);
    server->has_chunks = true;
    server->chunk_left = (unsigned)strtoul(size, NULL, 10);
    server->chunk_is_last = strstr(size, " LAST") != NULL;
    if (server->chunk_left == 0)
        end_chunk(server);
}

static void on_command(struct server *server, const char *line) {
    char tag[32];
    if (strncasecmp(line, "EHLO ", 5) == 0) {
        if (fails_at(server, STAGE_EHLO))
            return;
        server->has_mail = false;
        server->recipients = 0;
        say(server, "250-vm\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n250 SIZE 1000000\r\n");
    } else if (strncasecmp(line, "MAIL ", 5) == 0) {
        if (fails_at(server, STAGE_MAIL))
            return;
        say(server, "%s %s\r\n", server->has_mail ? "503 5.5.1 nested" : "250 2.1.0 ok", tag_of(line, tag));
        server->has_mail = true;
    } else if (strncasecmp(line, "RCPT ", 5) == 0) {
        on_recipient(server, line);
    } else if (strcasecmp(line, "DATA") == 0) {
        begin_content(server);
    } else if (strncasecmp(line, "BDAT ", 5) == 0) {
        begin_chunk(server, line + 5);
    } else if (strcasecmp(line, "QUIT") == 0) {
        if (fails_at(server, STAGE_QUIT))
            return;
        say(server, "221 2.0.0 bye\r\n");
        server->is_leaving = true;
    } else if (strcasecmp(line, "RSET") == 0) {
        if (fails_at(server, STAGE_OTHER))
            return;
        server->has_mail = false;
        server->recipients = 0;
        say(server, "250 2.0.0 reset\r\n");
    } else if (strncasecmp(line, "NOOP", 4) == 0) {
        if (fails_at(server, STAGE_OTHER))
            return;
        say(server, "250 2.0.0 ok %s\r\n", tag_of(line, tag));
    } else {
        say(server, "502 5.5.2 what? %s\r\n", tag_of(line, tag));
    }
}

static void end_content(struct server *server) {
    struct mail *mail = mail_at((unsigned)server->mail);
    server->in_content = server->has_mail = server->has_chunks = false;
    server->recipients = 0;
    if (mail == NULL || !server->is_content_right || server->mail_lines != mail->lines)
        sim_broken("vm%u got mail %d with %u lines, not as it was sent", server->number, server->mail,
                   server->mail_lines);
    bool is_kept_before = sim_once_in(2); /* a backend can take a mail and die before it says so */
    if (is_kept_before && mail != NULL)
        mail->accepted++;
    if (fails_at(server, STAGE_DOT))
        return;
    if (!is_kept_before && mail != NULL)
        mail->accepted++;
    say(server, "250 2.0.0 queued as #%d\r\n", server->mail);
}

static void on_text(struct server *server, const char *line, unsigned length) {
    char expected[MAIL_LINE_MAX];
    if (server->mail_lines == 0) {
        server->mail = strncmp(line, "X-Mail: ", 8) == 0 ? (int)strtol(line + 8, NULL, 10) : -1;
        if (mail_at((unsigned)server->mail) != NULL)
            mail_at((unsigned)server->mail)->begun_at |= 1u << server->number;
    }
    size_t expected_length = mail_line((unsigned)server->mail, server->mail_lines++, expected);
    server->is_content_right &= expected_length == length + 2 && memcmp(expected, line, length) == 0;
    if (server->mail_lines == 2)
        fails_at(server, STAGE_CONTENT);
}

static void on_octet(struct server *server, char octet) {
    if (server->line_length < COMMAND_MAX - 1)
        server->line[server->line_length++] = octet;
    unsigned length = server->line_length;
    bool is_of_chunk = server->chunk_left > 0; /* chunks hold whole lines */
    server->chunk_left -= is_of_chunk;
    if (octet != '\n')
        return;
    length -= length >= 2 && server->line[length - 2] == '\r' ? 2 : 1;
    server->line[length] = '\0';
    server->line_length = 0;
    if (is_of_chunk)
        on_text(server, server->line, length);
    else if (server->in_content && strcmp(server->line, ".") == 0)
        end_content(server);
    else if (server->in_content)
        on_text(server, server->line, length);
    else
        on_command(server, server->line);
    if (is_of_chunk && server->chunk_left == 0 && server->is_open && !server->is_leaving && !server->is_silent)
        end_chunk(server);
}

static bool reads(struct server *server) {
    char data[4000];
    if (server->out_length > OUT_MAX / 2)
        return false; /* it writes first */
    int length = wire_they_read(server->wire, data, sim_once_in(3) ? 1 + sim_below(20) : sizeof data);
    if (length == -EAGAIN)
        return false;
    if (length <= 0) {
        end(server, length < 0);
        return true;
    }
    for (int i = 0; i < length && server->is_open && !server->is_leaving && !server->is_silent; i++)
        on_octet(server, data[i]);
    return true;
}

static bool writes(struct server *server) {
    unsigned part = sim_once_in(4) ? 1 + sim_below(server->out_length) : server->out_length;
    int taken = wire_they_write(server->wire, server->out, part);
    if (taken < 0) {
        end(server, false);
        return true;
    }
    memmove(server->out, server->out + taken, server->out_length - (unsigned)taken);
    server->out_length -= (unsigned)taken;
    return taken > 0;
}

/* As servers do, in words or without one, to a client that says nothing: no fault, in content neither. */
static bool tires(struct server *server) {
    uint64_t patience_ms = backend_of(server)->patience_ms;
    bool is_idle = !server->is_leaving && !server->is_silent && server->out_length == 0;
    if (!is_idle || patience_ms == 0 || sim_now_ms() - server->active_ms < patience_ms)
        return false;
    sim_trace("vm%u #%d is tired of its client", server->number, (int)(server - servers));
    if (sim_once_in(2))
        say(server, "421 4.4.2 timeout\r\n");
    server->is_leaving = true;
    return true;
}

static bool acts(struct server *server) {
    if (server->wake_ms > sim_now_ms())
        return false;
    if (!server->has_greeted) {
        greet(server);
        server->active_ms = sim_now_ms();
        return true;
    }
    bool has_written = server->out_length > 0 && writes(server);
    if (!server->is_open)
        return true;
    if (server->is_leaving && server->out_length == 0) {
        end(server, false);
        return true;
    }
    bool has_read = !server->is_leaving && reads(server);
    if (has_written || has_read)
        server->active_ms = sim_now_ms();
    return has_written || has_read || tires(server);
}

bool servers_act(void) {
    bool has_acted = false;
    for (unsigned i = 0; i < touched; i++)
        if (servers[i].is_open && !sim_once_in(3))
            has_acted |= acts(&servers[i]);
    return has_acted;
}

static uint64_t next_ms(const struct server *server) {
    uint64_t patience_ms = backend_of(server)->patience_ms;
    if (server->wake_ms > sim_now_ms())
        return server->wake_ms;
    bool is_patient = patience_ms == 0 || server->active_ms + patience_ms <= sim_now_ms();
    return is_patient ? UINT64_MAX : server->active_ms + patience_ms;
}

uint64_t servers_next_ms(void) {
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < touched; i++)
        if (servers[i].is_open && next_ms(&servers[i]) < next)
            next = next_ms(&servers[i]);
    return next;
}
