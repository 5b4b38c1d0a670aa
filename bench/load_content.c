/* The mails of a client of load: what they hold, how large they are, how fast they are sent. load_client.c calls it.
 * Owns nothing. */
#include "bench/load_content.h"

#include "bench/load_say.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A TLS record's worth; all at once would be a copy of a whole mail. */
#define TLS_PIECE 16384

/* Lines of 72 octets with no leading dot, then the final dot, which is not part of the content. */
bool content_init(struct load *load) {
    size_t size = load->options.sizes.most < 2 ? 2 : load->options.sizes.most;
    load->body = malloc(size + 3);
    if (load->body == NULL)
        return false;
    for (size_t i = 0; i < size; i++)
        load->body[i] = (char)(i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'a' + (char)((i / 72 + i) % 26));
    /* The last line ends at `size`, wherever that falls. */
    if (size >= 3 && load->body[size - 3] == '\r')
        load->body[size - 3] = 'z';
    memcpy(load->body + size - 2, "\r\n", 2);
    memcpy(load->body + size, ".\r\n", 3);
    load->body_octets = size + 3;
    return true;
}

static void send_more(struct client *client) {
    struct load *load = client->load;
    size_t left = client->body_octets - client->body_sent;
    size_t piece = client->tls != NULL && left > TLS_PIECE ? TLS_PIECE : left;
    /* A slow sender sends ten pieces a second. */
    if (client->is_slow && load->options.send_rate / 10 + 1 < piece)
        piece = load->options.send_rate / 10 + 1;
    client->is_sending_body = true;
    client->body_sent += piece;
    client_send(client, client->body + client->body_sent - piece, piece);
}

static void choose_body(struct client *client) {
    struct load *load = client->load;
    size_t size = sizes_draw(&load->options.sizes, &load->chance);
    client->body_octets = (size < 2 ? 2 : size) + 3;
    client->body = load->body + load->body_octets - client->body_octets;
    client->body_sent = 0;
}

void content_begin(struct client *client) {
    struct load *load = client->load;
    client->phase = AT_CONTENT;
    client->is_sending_body = false;
    choose_body(client);
    client_be_patient(client);
    snprintf(client->id, sizeof client->id, "%d-%u-%u", (int)getpid(), client->number, client->mails_left);
    /* A body that begins in the middle of a line end would begin with a bare line feed. */
    bool is_cut = client->body[0] == '\n' && client->body_octets > 5;
    int length = snprintf(client->command, sizeof client->command,
                          "X-Bench-Id: %s\r\nFrom: <load@example.test>\r\nSubject: load\r\n\r\n%s", client->id,
                          is_cut ? "z" : "");
    if (is_cut) {
        client->body++;
        client->body_octets--;
    }
    memcpy(load->last_header, client->command, (size_t)length + 1);
    load->last_body = client->body;
    load->last_body_octets = client->body_octets - 3;
    load->result.mail_octets = (uint64_t)length + load->last_body_octets;
    client_send(client, client->command, (size_t)length);
}

void content_go_on(struct client *client) {
    struct load *load = client->load;
    if (client->is_sending_body && client->body_sent == client->body_octets) {
        client->is_sending_body = false;
        client->phase = AT_DOT;
        client_be_patient(client);
    } else if (client->is_sending_body && client->is_slow && !client->is_thinking) {
        client->is_thinking = true;
        timer_set(io_timers(load->io), &client->timer, io_now_ms(load->io) + 100);
    } else {
        client->is_thinking = false;
        client_be_patient(client);
        send_more(client);
    }
}
