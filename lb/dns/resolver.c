/* The resolver: one c-ares channel on the manager's ring. c-ares says which sockets it wants watched
 * (ares_init_options(3), ARES_OPT_SOCK_STATE_CB); each has a one-shot poll in the ring, armed again after each call
 * into c-ares, since edge-style polling stalls on TCP. A socket that c-ares has closed keeps its place until its poll
 * has ended, because its number may be in use again by then.
 *
 * names.c, lookups.c and questions.c ask. Owns the channel and the polls; a query is its caller's until its callback.
 * Nothing is fatal here after the start: whatever goes wrong is a query's answer. */
#include "lb/dns/resolver.h"

#include "lb/engine/log.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A UDP and a TCP socket for each of a handful of servers, and those that are on their way out. */
#define SOCKETS_MAX 64u

struct dns_socket {
    struct op poll;
    struct op cancel;
    struct resolver *resolver;
    int fd;
    unsigned events;
    bool is_used;
    bool is_gone; /* closed by c-ares */
    bool poll_armed;
    bool cancel_armed;
};

struct dns_request {
    struct dns_request *next_free;
    struct resolver *resolver;
    struct dns_query *query; /* NULL: nobody waits any more */
    unsigned *places;        /* of the asker; NULL: not counted */
    enum dns_type type;
    struct timer deadline;
};

struct resolver {
    struct io *io;
    ares_channel channel;
    bool has_channel;
    bool is_ending;
    uint64_t query_ms; /* all tries of one query */
    struct timer tick; /* c-ares' own retries */
    struct dns_socket sockets[SOCKETS_MAX];
    struct dns_request requests[DNS_QUERIES_MAX];
    struct dns_request *free_requests;
};

/* --- sockets --- */

static void after_call(struct resolver *resolver);

static void free_if_done(struct dns_socket *socket) {
    if (socket->is_gone && !socket->poll_armed && !socket->cancel_armed)
        socket->is_used = false;
}

static void on_cancelled(struct op *op, int result, unsigned flags) {
    struct dns_socket *socket = container_of(op, struct dns_socket, cancel);
    (void)result;
    (void)flags;
    socket->cancel_armed = false;
    free_if_done(socket);
}

static void on_poll(struct op *op, int result, unsigned flags) {
    struct dns_socket *socket = container_of(op, struct dns_socket, poll);
    struct resolver *resolver = socket->resolver;
    (void)flags;
    socket->poll_armed = false;
    if (socket->is_gone) {
        free_if_done(socket);
        return;
    }
    bool is_readable = result < 0 || (result & (POLLIN | POLLERR | POLLHUP)) != 0;
    bool is_writable = result < 0 || (result & (POLLOUT | POLLERR | POLLHUP)) != 0;
    ares_process_fd(resolver->channel, is_readable ? socket->fd : ARES_SOCKET_BAD,
                    is_writable ? socket->fd : ARES_SOCKET_BAD);
    after_call(resolver);
}

static void cancel_poll(struct dns_socket *socket) {
    if (!socket->poll_armed || socket->cancel_armed || socket->resolver->is_ending)
        return;
    socket->cancel_armed = true;
    io_cancel_op(socket->resolver->io, &socket->cancel, &socket->poll);
}

static struct dns_socket *find_socket(struct resolver *resolver, int fd) {
    struct dns_socket *unused = NULL;
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        struct dns_socket *socket = &resolver->sockets[i];
        if (socket->is_used && !socket->is_gone && socket->fd == fd)
            return socket;
        if (!socket->is_used && unused == NULL)
            unused = socket;
    }
    if (unused != NULL)
        *unused = (struct dns_socket){
            .poll.complete = on_poll, .cancel.complete = on_cancelled, .resolver = resolver, .fd = fd, .is_used = true};
    return unused;
}

/* May run inside any call into c-ares. */
static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable) {
    struct dns_socket *socket = find_socket(context, fd);
    if (socket == NULL) {
        log_error("DNS: more than %u sockets: a query will time out", SOCKETS_MAX);
        return;
    }
    unsigned events = (readable ? POLLIN : 0u) | (writable ? POLLOUT : 0u);
    if (events != socket->events)
        cancel_poll(socket);
    socket->events = events;
    if (events == 0) {
        socket->is_gone = true;
        free_if_done(socket);
    }
}

static void on_tick(struct timer *timer) {
    struct resolver *resolver = container_of(timer, struct resolver, tick);
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    after_call(resolver);
}

/* Watches what c-ares wants watched, and comes back when it wants to try again. */
static void after_call(struct resolver *resolver) {
    struct timeval room = {0}, *wait = ares_timeout(resolver->channel, NULL, &room);
    for (unsigned i = 0; i < SOCKETS_MAX; i++) {
        struct dns_socket *socket = &resolver->sockets[i];
        if (!socket->is_used || socket->is_gone || socket->poll_armed || socket->events == 0)
            continue;
        socket->poll_armed = true;
        io_poll_fd(resolver->io, &socket->poll, socket->fd, socket->events);
    }
    if (wait == NULL)
        timer_cancel(&resolver->tick);
    else
        timer_set(io_timers(resolver->io), &resolver->tick,
                  io_now_ms(resolver->io) + (uint64_t)wait->tv_sec * 1000 + (uint64_t)wait->tv_usec / 1000 + 1);
}

/* --- answers --- */

static void tell(struct dns_request *request, const struct dns_answer *answer) {
    struct dns_query *query = request->query;
    timer_cancel(&request->deadline);
    request->query = NULL;
    if (query == NULL)
        return;
    query->request = NULL;
    query->on_answer(query, answer);
}

/* The fixed part of a resource record behind its name (RFC 1035 §4.1.3), and where its data stands. */
struct record {
    unsigned type;
    uint32_t ttl_s;
    const unsigned char *data;
    unsigned length;
};

struct reader {
    const unsigned char *message;
    int length;
    const unsigned char *at;
};

static unsigned get16(const unsigned char *at) {
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get32(const unsigned char *at) {
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* Returns false when the name is not well-formed or too long. */
static bool read_name(struct reader *reader, char text[DNS_NAME_MAX + 1]) {
    char *name = NULL;
    long encoded;
    if (ares_expand_name(reader->at, reader->message, reader->length, &name, &encoded) != ARES_SUCCESS)
        return false;
    bool fits = strlen(name) <= DNS_NAME_MAX;
    if (fits) {
        size_t i = 0;
        for (; name[i] != '\0'; i++)
            text[i] = (char)tolower((unsigned char)name[i]);
        text[i] = '\0';
        reader->at += encoded;
    }
    ares_free_string(name);
    return fits;
}

static bool read_record(struct reader *reader, struct record *ret_record) {
    char name[DNS_NAME_MAX + 1];
    if (!read_name(reader, name) || reader->message + reader->length - reader->at < NS_RRFIXEDSZ)
        return false;
    *ret_record = (struct record){.type = get16(reader->at),
                                  .ttl_s = get32(reader->at + 4),
                                  .data = reader->at + NS_RRFIXEDSZ,
                                  .length = get16(reader->at + 8)};
    if (reader->message + reader->length - ret_record->data < (long)ret_record->length)
        return false;
    reader->at = ret_record->data + ret_record->length;
    return true;
}

static bool skip_question(struct reader *reader) {
    char name[DNS_NAME_MAX + 1];
    reader->at = reader->message + NS_HFIXEDSZ;
    if (get16(reader->message + 4) != 1 || !read_name(reader, name) ||
        reader->message + reader->length - reader->at < NS_QFIXEDSZ)
        return false;
    reader->at += NS_QFIXEDSZ;
    return true;
}

/* Returns false when the record is none of this type. */
static bool read_address(enum dns_type type, const struct record *record, struct address *ret_address) {
    if (type == DNS_A && record->length == 4) {
        *ret_address = (struct address){.in4 = {.sin_family = AF_INET}};
        memcpy(&ret_address->in4.sin_addr, record->data, 4);
        return true;
    }
    if (type != DNS_AAAA || record->length != 16)
        return false;
    *ret_address = (struct address){.in6 = {.sin6_family = AF_INET6}};
    memcpy(&ret_address->in6.sin6_addr, record->data, 16);
    return true;
}

/* A wanted address takes the last place when there is none left. */
static void take_address(const struct address *address, const struct dns_wanted *wanted, struct dns_answer *answer) {
    if (answer->count < DNS_ADDRESSES_MAX)
        answer->addresses[answer->count++] = *address;
    else if (wanted->is_wanted != NULL && wanted->is_wanted(wanted->context, address))
        answer->addresses[DNS_ADDRESSES_MAX - 1] = *address;
}

static void take_record(const struct reader *reader, enum dns_type type, const struct record *record,
                        const struct dns_wanted *wanted, struct dns_answer *answer) {
    struct reader data = {reader->message, reader->length, record->data};
    struct address address;
    if (type == DNS_MX && record->length > 2)
        data.at += 2; /* the preference */
    if (type == DNS_PTR || data.at > record->data)
        answer->count += answer->count < DNS_NAMES_MAX && read_name(&data, answer->names[answer->count]);
    else if (read_address(type, record, &address))
        take_address(&address, wanted, answer);
}

/* How long a "no" holds: the SOA's own TTL or its MINIMUM, whichever is less (RFC 2308 §5). */
static uint32_t negative_ttl(struct reader *reader, unsigned records) {
    struct record record;
    for (unsigned i = 0; i < records && read_record(reader, &record); i++) {
        if (record.type != ns_t_soa || record.length < 4)
            continue;
        uint32_t minimum = get32(record.data + record.length - 4);
        return minimum < record.ttl_s ? minimum : record.ttl_s;
    }
    return 0;
}

/* The answer section, CNAMEs among it, whose TTL counts too. Fields of the header: RFC 1035 §4.1.1. */
static void take_records(enum dns_type type, const unsigned char *reply, int length, const struct dns_wanted *wanted,
                         bool has_name, struct dns_answer *answer) {
    struct reader reader = {reply, length, reply};
    struct record record;
    unsigned records = 0; /* of the type asked for, whether they make sense or not */
    *answer = (struct dns_answer){.status = DNS_FAILED, .error = "the answer is not understood", .ttl_s = UINT32_MAX};
    if (!skip_question(&reader))
        return;
    for (unsigned i = get16(reply + 6); i > 0; i--) {
        if (!read_record(&reader, &record)) {
            answer->count = 0;
            return;
        }
        answer->ttl_s = record.ttl_s < answer->ttl_s ? record.ttl_s : answer->ttl_s;
        if (record.type != (unsigned)type)
            continue;
        records++;
        take_record(&reader, type, &record, wanted, answer);
    }
    if (answer->count > 0) {
        answer->status = DNS_FOUND;
        answer->is_null_mx = type == DNS_MX && records == 1 && answer->names[0][0] == '\0';
        return;
    }
    if (records > 0)
        return; /* none of them makes sense */
    answer->status = DNS_NONE;
    answer->has_no_name = !has_name;
    answer->error = has_name ? "no such record" : "no such name";
    answer->ttl_s = negative_ttl(&reader, get16(reply + 8));
}

void dns_read_reply(enum dns_type type, const unsigned char *reply, int length, const struct dns_wanted *wanted,
                    struct dns_answer *ret_answer) {
    unsigned code = length >= NS_HFIXEDSZ ? reply[3] & 0x0fu : ns_r_formerr;
    if (code == ns_r_noerror || code == ns_r_nxdomain)
        take_records(type, reply, length, wanted, code == ns_r_noerror, ret_answer);
    else
        *ret_answer = (struct dns_answer){.status = DNS_FAILED,
                                          .error = code == ns_r_refused    ? "REFUSED"
                                                   : code == ns_r_servfail ? "SERVFAIL"
                                                                           : "the server's answer is an error"};
}

static void on_reply(void *context, int status, int timeouts, unsigned char *reply, int length) {
    struct dns_request *request = context;
    struct resolver *resolver = request->resolver;
    struct dns_answer answer = {.status = DNS_FAILED, .error = "no answer in time"};
    (void)timeouts;
    const struct dns_wanted wanted = request->query != NULL ? request->query->wanted : (struct dns_wanted){NULL, NULL};
    if (reply != NULL)
        dns_read_reply(request->type, reply, length, &wanted, &answer); /* as it is, see ARES_FLAG_NOCHECKRESP */
    else if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
        answer =
            (struct dns_answer){.status = DNS_NONE, .error = "no such name", .has_no_name = status == ARES_ENOTFOUND};
    else if (status != ARES_ETIMEOUT)
        answer.error = ares_strerror(status);
    if (resolver->is_ending)
        return;
    tell(request, &answer);
    if (request->places != NULL)
        --*request->places;
    request->next_free = resolver->free_requests;
    resolver->free_requests = request;
}

/* c-ares goes on until it gives up by itself; its place is taken until then. */
static void on_deadline(struct timer *timer) {
    struct dns_request *request = container_of(timer, struct dns_request, deadline);
    tell(request, &(struct dns_answer){.status = DNS_FAILED, .error = "no answer in time"});
}

/* --- questions --- */

void resolver_ask(struct resolver *resolver, struct dns_query *query, const char *name, enum dns_type type) {
    struct dns_request *request = resolver->free_requests;
    if (request == NULL) {
        query->on_answer(query, &(struct dns_answer){.status = DNS_FAILED, .error = "too many queries at once"});
        return;
    }
    resolver->free_requests = request->next_free;
    request->query = query;
    request->type = type;
    request->places = query->places;
    if (request->places != NULL)
        ++*request->places;
    query->request = request;
    timer_set(io_timers(resolver->io), &request->deadline, io_now_ms(resolver->io) + resolver->query_ms);
    ares_query(resolver->channel, name, ns_c_in, (int)type, on_reply, request); /* may call on_reply at once */
    after_call(resolver);
}

void resolver_cancel(struct dns_query *query) {
    if (query->request == NULL)
        return;
    timer_cancel(&query->request->deadline);
    query->request->query = NULL;
    query->request = NULL;
}

/* --- life --- */

static int set_servers(struct resolver *resolver, const struct config_dns *config) {
    char list[64 * ADDRESS_TEXT_MAX] = "", text[ADDRESS_TEXT_MAX];
    size_t length = 0;
    if (config->servers.count == 0)
        return 0;
    for (size_t i = 0; i < config->servers.count && length < sizeof list; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", i > 0 ? "," : "",
                                   address_format(&config->servers.items[i], text));
    return ares_set_servers_ports_csv(resolver->channel, list) == ARES_SUCCESS ? 0 : -EINVAL;
}

int resolver_create(struct io *io, const struct config_dns *config, struct resolver **ret_resolver, char *ret_error,
                    size_t error_size) {
    struct resolver *resolver = calloc(1, sizeof *resolver);
    struct ares_options options = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP,
                                   .timeout = (int)config->timeout_ms,
                                   .tries = (int)config->tries,
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = resolver};
    if (resolver == NULL) {
        snprintf(ret_error, error_size, "[dns]: out of memory");
        return -ENOMEM;
    }
    resolver->io = io;
    resolver->tick.expire = on_tick;
    /* c-ares doubles the timeout with each round; the wheel has the last word. */
    resolver->query_ms = config->timeout_ms * config->tries + 1000;
    for (unsigned i = 0; i < DNS_QUERIES_MAX; i++) {
        resolver->requests[i].resolver = resolver;
        resolver->requests[i].deadline.expire = on_deadline;
        resolver->requests[i].next_free = resolver->free_requests;
        resolver->free_requests = &resolver->requests[i];
    }
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS)
        status = ares_init_options(&resolver->channel, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    resolver->has_channel = status == ARES_SUCCESS;
    if (status != ARES_SUCCESS || set_servers(resolver, config) < 0) {
        snprintf(ret_error, error_size, "[dns]: %s",
                 status != ARES_SUCCESS ? ares_strerror(status) : "the servers are not understood");
        resolver_destroy(resolver);
        return -EINVAL;
    }
    *ret_resolver = resolver;
    return 0;
}

void resolver_destroy(struct resolver *resolver) {
    if (resolver == NULL)
        return;
    resolver->is_ending = true;
    if (resolver->has_channel)
        ares_destroy(resolver->channel);
    ares_library_cleanup();
    free(resolver);
}
