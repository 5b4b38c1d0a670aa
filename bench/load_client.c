/* One client session of load: strictly command and reply, or with each mail's envelope in one group (RFC 2920); in
 * clear, or behind STARTTLS. load.c begins it and hears its end; each session ends in exactly one outcome. Its memory
 * is of load.c's pool. */
#include "bench/load_client.h"

#include "bench/load_content.h"
#include "bench/load_say.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static void send_command(struct client *client) {
    client->is_thinking = false;
    client_be_patient(client);
    client_send(client, client->command, client->command_length);
}

static void say(struct client *client, enum phase phase, const char *command) {
    struct load *load = client->load;
    client->phase = phase;
    client->command_length = (unsigned)snprintf(client->command, sizeof client->command, "%s\r\n", command);
    if (load->options.think_ms > 0) {
        client->is_thinking = true;
        timer_set(io_timers(load->io), &client->timer, io_now_ms(load->io) + load->options.think_ms);
    } else {
        send_command(client);
    }
}

/* --- replies --- */

static void next_mail_or_quit(struct client *client) {
    if (client->mails_left == 0)
        say(client, AT_QUIT, "QUIT");
    else if (client->load->options.has_pipelining)
        say(client, AT_MAIL, "MAIL FROM:<load@example.test>\r\nRCPT TO:<user@example.test>\r\nDATA");
    else
        say(client, AT_MAIL, "MAIL FROM:<load@example.test>");
}

static void on_hello(struct client *client) {
    struct load *load = client->load;
    if (client->tls == NULL && is_in_share(client->number, load->options.starttls_percent)) {
        say(client, AT_STARTTLS, "STARTTLS");
    } else if (load->options.hold_ms > 0) {
        client->phase = AT_IDLE;
        timer_set(io_timers(load->io), &client->timer, io_now_ms(load->io) + load->options.hold_ms);
    } else {
        next_mail_or_quit(client);
    }
}

/* Further into the envelope: with pipelining the next command has been said already. */
static void on_envelope_reply(struct client *client, enum phase next, const char *command) {
    if (client->load->options.has_pipelining)
        client->phase = next;
    else
        say(client, next, command);
}

static void begin_tls(struct client *client) {
    client->phase = AT_HANDSHAKE;
    client->tls = tls_create(client->load->tls);
    if (client->tls == NULL || tls_handshake(client->tls) < 0)
        client_finish(client, DROPPED);
    else
        client_send_ciphertext(client);
}

static void on_mail_accepted(struct client *client) {
    struct load *load = client->load;
    load->result.mails++;
    if (load->ids != NULL)
        fprintf(load->ids, "%s\n", client->id);
    client->mails_left--;
    next_mail_or_quit(client);
}

static void on_good_reply(struct client *client) {
    struct load *load = client->load;
    switch (client->phase) {
    case AT_GREETING:
        histogram_add(&load->result.greeting, load_now_us() - client->scheduled_us);
        say(client, AT_EHLO, "EHLO load.example.test");
        break;
    case AT_EHLO:
        on_hello(client);
        break;
    case AT_STARTTLS:
        begin_tls(client);
        break;
    case AT_MAIL:
        on_envelope_reply(client, AT_RCPT, "RCPT TO:<user@example.test>");
        break;
    case AT_RCPT:
        on_envelope_reply(client, AT_DATA, "DATA");
        break;
    case AT_DATA:
        content_begin(client);
        break;
    case AT_DOT:
        on_mail_accepted(client);
        break;
    case AT_QUIT:
        client_finish(client, ACCEPTED);
        break;
    case AT_CONNECT:
    case AT_HANDSHAKE:
    case AT_IDLE:
    case AT_CONTENT:
    case PHASES:
        client_finish(client, DROPPED); /* a reply that nobody asked for */
        break;
    }
}

static void on_reply(struct client *client, const char *line) {
    if (line[0] == '2' || line[0] == '3') {
        on_good_reply(client);
        return;
    }
    snprintf(client->load->result.last_reply, sizeof client->load->result.last_reply, "%.*s",
             (int)strcspn(line, "\r\n\""), line);
    client_finish(client, line[0] == '4' ? TEMPFAILED : line[0] == '5' ? REFUSED : DROPPED);
}

/* Only the last line of a reply counts. */
static void take_octets(struct client *client, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length && !client->conn.is_closing && client->phase != AT_HANDSHAKE; i++) {
        if (client->line_length < sizeof client->line - 1)
            client->line[client->line_length++] = (char)data[i];
        if (data[i] != '\n')
            continue;
        client->line[client->line_length] = '\0';
        bool is_last = client->line_length >= 4 && client->line[3] != '-';
        client->line_length = 0;
        if (is_last)
            on_reply(client, client->line);
    }
}

/* --- TLS --- */

static void on_handshake_done(struct client *client) {
    client->load->result.encrypted++;
    say(client, AT_EHLO, "EHLO load.example.test");
}

static void take_ciphertext(struct client *client, const uint8_t *data, size_t length) {
    uint8_t plain[4096];
    int count;
    tls_take(client->tls, data, length);
    if (client->phase == AT_HANDSHAKE) {
        int result = tls_handshake(client->tls);
        if (result < 0) {
            client_finish(client, DROPPED);
            return;
        }
        if (result == 1)
            on_handshake_done(client);
        client_send_ciphertext(client);
    }
    while (!client->conn.is_closing && client->phase != AT_HANDSHAKE &&
           (count = tls_read(client->tls, plain, sizeof plain)) > 0)
        take_octets(client, plain, (size_t)count);
}

static void on_received(struct client *client, int result) {
    struct conn *conn = &client->conn;
    if (result <= 0) {
        /* Once the last mail is accepted, a close instead of 221 costs nothing. */
        client_finish(client, client->phase == AT_QUIT ? ACCEPTED : DROPPED);
        return;
    }
    if (client->tls != NULL)
        take_ciphertext(client, io_buffer(conn->io, conn->received_buffer), (size_t)result);
    else
        take_octets(client, io_buffer(conn->io, conn->received_buffer), (size_t)result);
    io_buffer_release(conn->io, conn->received_buffer);
    if (!conn->is_closing)
        conn_recv(conn, false);
}

/* --- life --- */

static void talk_early(struct client *client) {
    static char octets[16384];
    unsigned count = client->load->options.early_octets;
    memset(octets, 'x', sizeof octets);
    conn_send(&client->conn, octets, count < sizeof octets ? count : sizeof octets);
}

static void on_opened(struct client *client, int result) {
    if (result < 0) {
        client_finish(client, DROPPED);
        return;
    }
    histogram_add(&client->load->result.connect, load_now_us() - client->scheduled_us);
    client->phase = AT_GREETING;
    client_be_patient(client);
    conn_recv(&client->conn, false);
    if (client->load->options.early_octets > 0)
        talk_early(client);
}

static void on_sent(struct client *client, int result) {
    /* A failed send is told by the receive that is armed: a reply may stand in it. */
    if (result < 0 || (client->tls != NULL && client_send_ciphertext(client)))
        return;
    if (client->phase == AT_CONTENT)
        content_go_on(client);
}

static void client_on_event(struct conn *conn, enum conn_event event, int result) {
    struct client *client = container_of(conn, struct client, conn);
    switch (event) {
    case CONN_OPENED:
        on_opened(client, result);
        break;
    case CONN_RECEIVED:
        on_received(client, result);
        break;
    case CONN_SENT:
        on_sent(client, result);
        break;
    case CONN_SHUT:
        break;
    case CONN_CLOSED:
        tls_destroy(client->tls);
        client->load->on_client_end(client->load, client);
        break;
    }
}

static void on_timer(struct timer *timer) {
    struct client *client = container_of(timer, struct client, timer);
    if (client->is_thinking && client->phase == AT_CONTENT)
        content_go_on(client);
    else if (client->is_thinking)
        send_command(client);
    else if (client->phase == AT_IDLE)
        say(client, AT_QUIT, "QUIT");
    else
        client_finish(client, TIMED_OUT);
}

/* The number-th address of the range; the network's own address is left out. */
static const struct address *choose_source(struct client *client) {
    const struct cidr *range = &client->load->options.source;
    if (range->base.sa.sa_family != AF_INET)
        return range->base.sa.sa_family == 0 ? NULL : &range->base;
    unsigned host_bits = 32u - range->prefix_bits;
    uint32_t base = ntohl(range->base.in4.sin_addr.s_addr);
    uint64_t hosts = UINT64_C(1) << host_bits;
    client->source = range->base;
    if (hosts > 2)
        client->source.in4.sin_addr.s_addr = htonl(base + 1 + (uint32_t)(client->number % (hosts - 2)));
    return &client->source;
}

void client_start(struct load *load, unsigned number, uint64_t scheduled_us) {
    struct client *client = pool_get(&load->clients);
    memset(client, 0, offsetof(struct client, line));
    client->load = load;
    client->number = number;
    client->scheduled_us = scheduled_us;
    client->mails_left = load->options.mails;
    client->is_slow = load->options.send_rate > 0 && is_in_share(number, load->options.slow_percent);
    client->timer.expire = on_timer;
    conn_init(&client->conn, load->io, client_on_event);
    client_be_patient(client);
    if (conn_connect(&client->conn, &load->options.target, choose_source(client)) < 0)
        client_finish(client, DROPPED);
}
