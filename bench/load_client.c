/* One client session: strictly command and reply, as the simplest sender does it; each session ends in exactly one
 * outcome. */
#include "bench/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static void finish(struct client *client, enum outcome outcome) {
    struct load *load = client->load;
    load->result.by_outcome[outcome]++;
    load->result.by_phase[outcome][client->phase]++;
    histogram_add(&load->result.session, load_now_us() - client->scheduled_us);
    timer_cancel(&client->timer);
    conn_close(&client->conn);
}

static void be_patient(struct client *client) {
    client->patience_until_ms = io_now_ms(client->load->io) + client->load->options.patience_ms;
    timer_set(io_timers(client->load->io), &client->timer, client->patience_until_ms);
}

static void say(struct client *client, enum phase phase, const char *command) {
    client->phase = phase;
    be_patient(client);
    size_t length = (size_t)snprintf(client->command, sizeof client->command, "%s\r\n", command);
    conn_send(&client->conn, client->command, length);
}

/* --- content --- */

static void send_more_body(struct client *client) {
    struct load *load = client->load;
    size_t left = load->body_octets - client->body_sent;
    size_t piece = left;
    /* A slow sender sends ten pieces a second. */
    if (load->options.send_rate > 0 && load->options.send_rate / 10 + 1 < left)
        piece = load->options.send_rate / 10 + 1;
    client->is_sending_body = true;
    conn_send(&client->conn, load->body + client->body_sent, piece);
    client->body_sent += piece;
}

static void send_content(struct client *client) {
    struct load *load = client->load;
    client->phase = AT_CONTENT;
    client->body_sent = 0;
    be_patient(client);
    snprintf(client->id, sizeof client->id, "%d-%u-%u", (int)getpid(), client->number, client->mails_left);
    int length = snprintf(client->command, sizeof client->command,
                          "X-Bench-Id: %s\r\nFrom: <load@example.test>\r\nSubject: load\r\n\r\n", client->id);
    memcpy(load->result.last_header, client->command, (size_t)length + 1);
    load->result.content_octets = (uint64_t)length + load->body_octets - 3;
    conn_send(&client->conn, client->command, (size_t)length);
}

static void on_content_sent(struct client *client) {
    struct load *load = client->load;
    if (client->is_sending_body && client->body_sent == load->body_octets) {
        client->is_sending_body = false;
        client->phase = AT_DOT;
        be_patient(client);
    } else if (client->is_sending_body && load->options.send_rate > 0) {
        timer_set(io_timers(load->io), &client->timer, io_now_ms(load->io) + 100);
    } else {
        send_more_body(client);
    }
}

/* --- replies --- */

static void next_mail_or_quit(struct client *client) {
    if (client->mails_left > 0)
        say(client, AT_MAIL, "MAIL FROM:<load@example.test>");
    else
        say(client, AT_QUIT, "QUIT");
}

static void hold(struct client *client) {
    client->phase = AT_IDLE;
    client->load->held++;
    timer_set(io_timers(client->load->io), &client->timer, io_now_ms(client->load->io) + client->load->options.hold_ms);
}

static void on_good_reply(struct client *client) {
    struct load *load = client->load;
    switch (client->phase) {
    case AT_GREETING:
        histogram_add(&load->result.greeting, load_now_us() - client->scheduled_us);
        say(client, AT_EHLO, "EHLO load.example.test");
        break;
    case AT_EHLO:
        if (load->options.hold_ms > 0)
            hold(client);
        else
            next_mail_or_quit(client);
        break;
    case AT_MAIL:
        say(client, AT_RCPT, "RCPT TO:<user@example.test>");
        break;
    case AT_RCPT:
        say(client, AT_DATA, "DATA");
        break;
    case AT_DATA:
        send_content(client);
        break;
    case AT_DOT:
        load->result.mails++;
        if (load->ids != NULL)
            fprintf(load->ids, "%s\n", client->id);
        client->mails_left--;
        next_mail_or_quit(client);
        break;
    case AT_QUIT:
        finish(client, ACCEPTED);
        break;
    case AT_CONNECT:
    case AT_IDLE:
    case AT_CONTENT:
    case PHASES:
        finish(client, DROPPED); /* a reply that nobody asked for */
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
    finish(client, line[0] == '4' ? TEMPFAILED : line[0] == '5' ? REFUSED : DROPPED);
}

/* Only the last line of a reply counts. */
static void take_octets(struct client *client, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length && !client->conn.is_closing; i++) {
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

static void on_received(struct client *client, int result) {
    struct conn *conn = &client->conn;
    if (result <= 0) {
        /* Once the last mail is accepted, a close instead of 221 costs nothing. */
        finish(client, client->phase == AT_QUIT ? ACCEPTED : DROPPED);
        return;
    }
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
        finish(client, DROPPED);
        return;
    }
    client->phase = AT_GREETING;
    be_patient(client);
    conn_recv(&client->conn, false);
    if (client->load->options.early_octets > 0)
        talk_early(client);
}

static void on_sent(struct client *client, int result) {
    if (client->phase == AT_CONTENT && result == 0)
        on_content_sent(client);
    /* A failed send is told by the receive that is armed: a reply may stand in it. */
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
        load_on_client_end(client->load, client);
        break;
    }
}

static void on_timer(struct timer *timer) {
    struct client *client = container_of(timer, struct client, timer);
    if (client->phase == AT_CONTENT && client->load->options.send_rate > 0 && !client->conn.send_armed)
        send_more_body(client);
    else if (client->phase == AT_IDLE)
        say(client, AT_QUIT, "QUIT");
    else
        finish(client, TIMED_OUT);
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
    client->timer.expire = on_timer;
    conn_init(&client->conn, load->io, client_on_event);
    be_patient(client);
    if (conn_connect(&client->conn, &load->options.target, choose_source(client)) < 0)
        finish(client, DROPPED);
}
