/* The simulated DNS: resolver.h without c-ares. What a name answers is drawn from the name and the seed, so that it
 * says the same for as long as a world lasts; when, is drawn anew each time. */
#include "lb/dns/resolver.h"

#include "tests/sim/sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct dns_request {
    struct timer timer;
    struct dns_request *next;
    struct dns_query *query; /* NULL: cancelled */
    struct resolver *resolver;
    enum dns_type type;
    uint32_t mix; /* of the name */
};

struct resolver {
    struct io *io;
    struct dns_request *free;
    uint32_t seed;
    struct dns_request requests[DNS_QUERIES_MAX];
};

/* Keys of hash tables: the same in each run, as all else. */
ssize_t getrandom(void *buffer, size_t length, unsigned flags) {
    (void)flags;
    memset(buffer, 0x5A, length);
    return (ssize_t)length;
}

int resolver_create(struct io *io, const struct config_dns *config, struct resolver **ret_resolver, char *ret_error,
                    size_t error_size) {
    struct resolver *resolver = calloc(1, sizeof *resolver);
    (void)config;
    (void)ret_error;
    (void)error_size;
    if (resolver == NULL)
        return -ENOMEM;
    resolver->io = io;
    resolver->seed = (uint32_t)chance_bits(&sim_chance);
    for (unsigned i = 0; i < DNS_QUERIES_MAX; i++) {
        resolver->requests[i].next = resolver->free;
        resolver->free = &resolver->requests[i];
    }
    *ret_resolver = resolver;
    return 0;
}

void resolver_destroy(struct resolver *resolver) {
    free(resolver);
}

static void fill_found(struct dns_answer *answer, enum dns_type type, uint32_t mix) {
    answer->count = 1;
    if (type == DNS_MX || type == DNS_PTR) {
        snprintf(answer->names[0], sizeof answer->names[0], "host%u.client.test", mix % 100);
        answer->is_null_mx = type == DNS_MX && mix % 31 == 0;
        return;
    }
    answer->addresses[0].in4.sin_family = type == DNS_A ? AF_INET : AF_INET6;
    if (type == DNS_A)
        answer->addresses[0].in4.sin_addr.s_addr = htonl(0x0A000000u + mix % 100);
}

static void on_time(struct timer *timer) {
    struct dns_request *request = container_of(timer, struct dns_request, timer);
    struct dns_query *query = request->query;
    struct dns_answer answer = {.ttl_s = 1 + request->mix % 600};
    unsigned kind = request->mix % 16;
    if (query->places != NULL)
        --*query->places;
    answer.status = kind == 0 ? DNS_NONE : kind == 1 ? DNS_FAILED : DNS_FOUND;
    if (kind == 1 || kind == 0)
        answer.error = "as the world wants it";
    else
        fill_found(&answer, request->type, request->mix);
    request->next = request->resolver->free;
    request->resolver->free = request;
    query->request = NULL;
    query->on_answer(query, &answer);
}

void resolver_ask(struct resolver *resolver, struct dns_query *query, const char *name, enum dns_type type) {
    struct dns_request *request = resolver->free;
    if (request == NULL) {
        const struct dns_answer none = {.status = DNS_FAILED, .error = "too many queries"};
        query->on_answer(query, &none);
        return;
    }
    resolver->free = request->next;
    *request = (struct dns_request){.query = query, .resolver = resolver, .type = type};
    request->mix = resolver->seed + (uint32_t)type * 7919u;
    for (; *name != '\0'; name++)
        request->mix = (request->mix ^ (uint8_t)*name) * 16777619u;
    request->timer.expire = on_time;
    query->request = request;
    if (query->places != NULL)
        ++*query->places;
    uint64_t wait_ms = sim_once_in(8) ? sim_below(4000) : sim_below(30);
    timer_set(io_timers(resolver->io), &request->timer, io_now_ms(resolver->io) + wait_ms);
}

void resolver_cancel(struct dns_query *query) {
    struct dns_request *request = query->request;
    if (request == NULL)
        return;
    timer_cancel(&request->timer);
    if (query->places != NULL)
        --*query->places;
    request->next = request->resolver->free;
    request->resolver->free = request;
    query->request = NULL;
}
