/* The way out of a session of load, for its commands and for its content alike, in clear or through TLS. Owns nothing.
 */
#include "bench/load_say.h"

#include <time.h>

uint64_t load_now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void client_finish(struct client *client, enum outcome outcome) {
    struct load *load = client->load;
    load->result.by_outcome[outcome]++;
    load->result.by_phase[outcome][client->phase]++;
    histogram_add(&load->result.session, load_now_us() - client->scheduled_us);
    timer_cancel(&client->timer);
    conn_close(&client->conn);
}

void client_be_patient(struct client *client) {
    struct load *load = client->load;
    timer_set(io_timers(load->io), &client->timer, io_now_ms(load->io) + load->options.patience_ms);
}

bool client_send_ciphertext(struct client *client) {
    const void *data;
    size_t length = client->conn.send_armed ? 0 : tls_output(client->tls, &data);
    if (length > 0)
        conn_send(&client->conn, data, length);
    return length > 0;
}

void client_send(struct client *client, const void *data, size_t length) {
    if (client->tls == NULL)
        conn_send(&client->conn, data, length);
    else if (!tls_write(client->tls, data, length))
        client_finish(client, DROPPED);
    else
        client_send_ciphertext(client);
}
