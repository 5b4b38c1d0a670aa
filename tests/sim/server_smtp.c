/* What a backend does with what it hears: SMTP, with replies that name the command's own tag, so that the client sees
 * whose reply it gets; content held against what was sent. */
#include "tests/sim/mails.h"
#include "tests/sim/server.h"
#include "tests/sim/sim.h"
#include "tests/sim/world.h"

#include "backends/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *tag_of(const char *line, char tag[static 32]) {
    const char *at = strchr(line, '#');
    unsigned length = at == NULL ? 0 : (unsigned)strspn(at + 1, "0123456789");
    tag[0] = '#';
    if (length > 30)
        length = 30;
    if (length > 0)
        memcpy(tag + 1, at + 1, length);
    tag[1 + length] = '\0';
    return tag;
}

static void begin_text(struct server *server) {
    server->mail = -1;
    server->mail_lines = 0;
    server->is_content_right = true;
}

static void begin_content(struct server *server) {
    if (server->recipients == 0) {
        server_say(server, "554 5.5.1 no valid recipients\r\n");
        return;
    }
    if (server_fails_at(server, STAGE_DATA))
        return;
    server_say(server, "354 go on\r\n");
    server->in_content = true;
    begin_text(server);
}

static void on_recipient(struct server *server, const char *line) {
    char tag[32];
    if (server_fails_at(server, STAGE_RCPT))
        return;
    if (strstr(line, "<drop") != NULL) { /* as Exim's `drop`: refused in words, and gone */
        server_say(server, "550 5.7.1 you are not wanted %s\r\n", tag_of(line, tag));
        server->is_leaving = true;
    } else if (strstr(line, "<unknown") != NULL) {
        server_say(server, "550 5.1.1 unknown %s\r\n", tag_of(line, tag));
    } else {
        server->recipients += server->has_mail;
        server_say(server, "%s %s\r\n", server->has_mail ? "250 2.1.5 ok" : "503 5.5.1 need MAIL", tag_of(line, tag));
    }
}

static void check_content(const struct server *server, const struct mail *mail) {
    if (mail == NULL || !server->is_content_right || server->mail_lines != mail->lines)
        sim_broken("vm%u got mail %d with %u lines, not as it was sent", server->number, server->mail,
                   server->mail_lines);
    else if (!mail->was_sent_whole)
        sim_broken("vm%u got the end of mail %d before its client has said it", server->number, server->mail);
    else if (server->has_client && !address_equal(&server->client, &mail->sender))
        sim_broken("vm%u got mail %d in another client's name", server->number, server->mail);
}

static void end_content(struct server *server) {
    struct mail *mail = mail_at((unsigned)server->mail);
    server->in_content = server->has_mail = server->has_chunks = false;
    server->recipients = 0;
    check_content(server, mail);
    bool is_kept_before = sim_once_in(2); /* a backend can take a mail and die before it says so */
    if (is_kept_before && mail != NULL)
        mail->accepted++;
    if (server_fails_at(server, STAGE_DOT))
        return;
    if (!is_kept_before && mail != NULL)
        mail->accepted++;
    if (mail != NULL)
        mail->was_taken_well |= server_backend(server)->is_healthy;
    if (sim_world.is_thorough && sim_once_in(3))
        server->mute_ms = sim_now_ms() + 500 + sim_below(30000);
    server_say(server, "250 2.0.0 queued as #%d\r\n", server->mail);
}

static void end_chunk(struct server *server) {
    if (server->recipients == 0)
        server_say(server, "554 5.5.1 no valid recipients\r\n");
    else if (server->chunk_is_last)
        end_content(server);
    else
        server_say(server, "250 2.0.0 chunk\r\n");
}

static void begin_chunk(struct server *server, const char *size) {
    if (!server->has_chunks && server_fails_at(server, STAGE_DATA))
        return;
    if (!server->has_chunks)
        begin_text(server);
    server->has_chunks = true;
    server->chunk_left = (unsigned)strtoul(size, NULL, 10);
    server->chunk_is_last = strstr(size, " LAST") != NULL;
    if (server->chunk_left == 0)
        end_chunk(server);
}

static void on_hello(struct server *server, const char *line) {
    if (server_fails_at(server, STAGE_EHLO))
        return;
    server->has_mail = false;
    server->recipients = 0;
    if (strncasecmp(line, "HELO", 4) == 0)
        server_say(server, "250 vm\r\n");
    else
        server_say(server, "250-vm\r\n250-PIPELINING\r\n%s250-CHUNKING\r\n%s250 SIZE 1000000\r\n",
                   server_backend(server)->lacks_8bitmime ? "" : "250-8BITMIME\r\n",
                   sim_world.has_tls ? "250-STARTTLS\r\n" : "");
}

static void on_mail(struct server *server, const char *line) {
    char tag[32];
    if (server_fails_at(server, STAGE_MAIL))
        return;
    if (sim_world.refuses && !server->is_probe && sim_once_in(20)) {
        server_say(server, "550 5.7.1 refused %s\r\n", tag_of(line, tag));
        return;
    }
    server_say(server, "%s %s\r\n", server->has_mail ? "503 5.5.1 nested" : "250 2.1.0 ok", tag_of(line, tag));
    server->has_mail = true;
}

static void on_quit(struct server *server) {
    if (server_fails_at(server, STAGE_QUIT))
        return;
    server_say(server, "221 2.0.0 bye\r\n");
    server->is_leaving = true;
}

static void on_command(struct server *server, const char *line) {
    char tag[32];
    sim_trace("vm%u #%u hears %.60s", server->number, server_id(server), line);
    if (strncasecmp(line, "EHLO ", 5) == 0 || strncasecmp(line, "HELO ", 5) == 0) {
        on_hello(server, line);
    } else if (strncasecmp(line, "MAIL ", 5) == 0) {
        on_mail(server, line);
    } else if (strncasecmp(line, "RCPT ", 5) == 0) {
        on_recipient(server, line);
    } else if (strcasecmp(line, "DATA") == 0) {
        begin_content(server);
    } else if (strncasecmp(line, "BDAT ", 5) == 0) {
        begin_chunk(server, line + 5);
    } else if (strcasecmp(line, "QUIT") == 0) {
        on_quit(server);
    } else if (strcasecmp(line, "STARTTLS") == 0 && sim_world.has_tls) {
        server_say(server, "220 2.0.0 ready\r\n");
        server->is_in_tls = true;
    } else if (strcasecmp(line, "RSET") == 0 || strncasecmp(line, "NOOP", 4) == 0) {
        if (server_fails_at(server, STAGE_OTHER))
            return;
        bool is_reset = strcasecmp(line, "RSET") == 0;
        server_talk_long(server);
        server->has_mail = server->has_mail && !is_reset;
        server->recipients = is_reset ? 0 : server->recipients;
        server_say(server, "250 2.0.0 ok %s\r\n", is_reset ? "" : tag_of(line, tag));
    } else {
        server_say(server, "502 5.5.2 what? %s\r\n", tag_of(line, tag));
    }
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
        server_fails_at(server, STAGE_CONTENT);
}

/* Each line is answered with the same one, its octets' last bits turned over. */
static void on_tls_line(struct server *server, unsigned length) {
    if (sim_once_in(60) && server_fails_at(server, server_backend(server)->stage))
        return;
    for (unsigned i = 0; i + 2 < length; i++)
        server->line[i] = (char)(server->line[i] ^ 1);
    server_put(server, server->line, length);
}

/* Version 1, as far as a reader by lines gets with version 2: its octets 10 and 13 come early. */
static bool takes_header(struct server *server) {
    struct proxy_header header;
    int length = proxy_parse((const uint8_t *)server->line, server->line_length, &header);
    if (length == 0)
        return true;
    if (length < 0 || (unsigned)length != server->line_length)
        sim_broken("vm%u got a malformed PROXY header", server->number);
    server->awaits_header = false;
    server->line_length = 0;
    server->has_client = length > 0 && header.is_proxied;
    server->client = header.source;
    return true;
}

void server_on_octet(struct server *server, char octet) {
    if (server->line_length < COMMAND_MAX - 1)
        server->line[server->line_length++] = octet;
    if (server->awaits_header && takes_header(server))
        return;
    unsigned length = server->line_length;
    bool is_of_chunk = server->chunk_left > 0; /* chunks hold whole lines */
    server->chunk_left -= is_of_chunk;
    if (octet != '\n')
        return;
    server->line_length = 0;
    if (server->is_in_tls) {
        on_tls_line(server, length);
        return;
    }
    length -= length >= 2 && server->line[length - 2] == '\r' ? 2 : 1;
    server->line[length] = '\0';
    if (is_of_chunk)
        on_text(server, server->line, length);
    else if (server->in_content && strcmp(server->line, ".") == 0)
        end_content(server);
    else if (server->in_content)
        on_text(server, server->line, length);
    else
        on_command(server, server->line);
    if (is_of_chunk && server->chunk_left == 0 && server->is_open && !server->is_leaving && !server->is_silent &&
        !server->is_stuck)
        end_chunk(server);
}
