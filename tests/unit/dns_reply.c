/* DNS messages as they come from the wire. */
#include "lb/dns/resolver.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

/* One question, then records whose owner is a pointer to it. */
struct message {
    unsigned char octets[4096];
    int length;
};

static void put(struct message *message, const void *data, size_t length) {
    memcpy(message->octets + message->length, data, length);
    message->length += (int)length;
}

static struct message message(unsigned code, unsigned answers, unsigned authority) {
    struct message result = {.length = 0};
    unsigned char header[12] = {
        0x12, 0x34, 0x81, (unsigned char)(0x80 | code), 0, 1, 0, (unsigned char)answers, 0, (unsigned char)authority};
    put(&result, header, sizeof header);
    put(&result, "\1a\4TEST\0\0\1\0\1", 12);
    return result;
}

static void record(struct message *message, unsigned type, unsigned ttl, const void *data, size_t length) {
    unsigned char fixed[] = {0xc0,
                             12,
                             0,
                             (unsigned char)type,
                             0,
                             1,
                             0,
                             0,
                             (unsigned char)(ttl >> 8),
                             (unsigned char)ttl,
                             0,
                             (unsigned char)length};
    put(message, fixed, sizeof fixed);
    put(message, data, length);
}

static struct dns_answer read_it(const struct message *message, enum dns_type type) {
    struct dns_answer answer;
    dns_read_reply(type, message->octets, message->length, &(struct dns_wanted){NULL, NULL}, &answer);
    return answer;
}

Test(dns_reply, names_come_in_lower_case_with_the_least_ttl_of_all) {
    struct message reply = message(0, 3, 0);
    record(&reply, 5, 60, "\300\14", 2); /* a CNAME, as RFC 2317 delegates small networks */
    record(&reply, 12, 300, "\2MX\7Example\3org\0", 16);
    record(&reply, 12, 200, "\300\14", 2);
    struct dns_answer answer = read_it(&reply, DNS_PTR);
    cr_assert(answer.status == DNS_FOUND && answer.count == 2 && answer.ttl_s == 60);
    cr_assert_str_eq(answer.names[0], "mx.example.org");
    cr_assert_str_eq(answer.names[1], "a.test");
}

Test(dns_reply, addresses_of_both_families) {
    struct message reply = message(0, 2, 0);
    record(&reply, 1, 30, "\177\0\0\2", 4);
    record(&reply, 1, 20, "\177\0\0\4", 4);
    struct dns_answer answer = read_it(&reply, DNS_A);
    cr_assert(answer.status == DNS_FOUND && answer.count == 2 && answer.ttl_s == 20);
    cr_assert_eq(ntohl(answer.addresses[1].in4.sin_addr.s_addr), 0x7f000004);
    reply = message(0, 1, 0);
    record(&reply, 28, 30, "\x20\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    answer = read_it(&reply, DNS_AAAA);
    cr_assert(answer.count == 1 && answer.addresses[0].in6.sin6_addr.s6_addr[15] == 1);
    cr_assert_eq(read_it(&reply, DNS_A).status, DNS_NONE);
}

Test(dns_reply, exchanges_and_the_one_that_says_no_mail) {
    struct message reply = message(0, 2, 0);
    record(&reply, 15, 300, "\0\12\2MX\300\14", 7);
    record(&reply, 15, 300, "\0\0\0", 3);
    struct dns_answer answer = read_it(&reply, DNS_MX);
    cr_assert(answer.status == DNS_FOUND && answer.count == 2 && !answer.is_null_mx);
    cr_assert_str_eq(answer.names[0], "mx.a.test");
    reply = message(0, 1, 0);
    record(&reply, 15, 300, "\0\0\0", 3);
    answer = read_it(&reply, DNS_MX);
    cr_assert(answer.status == DNS_FOUND && answer.count == 1 && answer.is_null_mx && answer.ttl_s == 300);
    cr_assert_str_eq(answer.names[0], "");
    reply = message(0, 2, 0); /* one that is no record is not no record */
    record(&reply, 15, 300, "\0\0", 2);
    record(&reply, 15, 300, "\0\0\0", 3);
    answer = read_it(&reply, DNS_MX);
    cr_assert(answer.status == DNS_FOUND && !answer.is_null_mx);
}

Test(dns_reply, a_no_holds_as_long_as_its_soa_says) {
    struct message reply = message(3, 0, 1);
    record(&reply, 6, 900, "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\x78", 22);
    struct dns_answer answer = read_it(&reply, DNS_A);
    cr_assert(answer.status == DNS_NONE && answer.ttl_s == 120);
    cr_assert_str_eq(answer.error, "no such name");
    cr_assert(answer.has_no_name);
    reply = message(0, 0, 0);
    answer = read_it(&reply, DNS_A);
    cr_assert(answer.status == DNS_NONE && answer.ttl_s == 0);
    cr_assert_str_eq(answer.error, "no such record");
    cr_assert_not(answer.has_no_name);
}

Test(dns_reply, servfail_refused_and_what_makes_no_sense_are_failures) {
    struct message reply = message(2, 0, 0);
    cr_assert_eq(read_it(&reply, DNS_A).status, DNS_FAILED);
    reply = message(5, 0, 0);
    cr_assert_str_eq(read_it(&reply, DNS_A).error, "REFUSED");
    reply = message(0, 1, 0);
    record(&reply, 1, 30, "\177\0\0\2", 4);
    for (int length = 0; length < reply.length; length++) {
        struct message cut = reply;
        cut.length = length;
        cr_assert_eq(read_it(&cut, DNS_A).status, DNS_FAILED, "%d", length);
    }
    reply.octets[12] = 0xc0; /* a name that points at itself */
    reply.octets[13] = 12;
    cr_assert_eq(read_it(&reply, DNS_A).status, DNS_FAILED);
}

static bool is_last(const void *context, const struct address *address) {
    return ntohl(address->in4.sin_addr.s_addr) == *(const uint32_t *)context;
}

Test(dns_reply, the_address_that_is_looked_for_is_found_however_many_there_are) {
    for (unsigned at = 0; at < 200; at += 13) {
        struct message reply = message(0, 200, 0);
        for (unsigned i = 0; i < 200; i++)
            record(&reply, 1, 30, (unsigned char[]){192, 0, 2, (unsigned char)i}, 4);
        uint32_t wanted = 0xc0000200u + at;
        struct dns_answer answer;
        dns_read_reply(DNS_A, reply.octets, reply.length, &(struct dns_wanted){is_last, &wanted}, &answer);
        bool has = false;
        for (unsigned i = 0; i < answer.count; i++)
            has |= is_last(&wanted, &answer.addresses[i]);
        cr_assert(has && answer.status == DNS_FOUND && answer.count == DNS_ADDRESSES_MAX, "%u", at);
    }
}

Test(dns_reply, records_that_make_no_sense_are_a_failure_and_no_no) {
    struct message reply = message(0, 1, 0);
    record(&reply, 1, 30, "\177\0\0", 3);
    cr_assert_eq(read_it(&reply, DNS_A).status, DNS_FAILED);
    cr_assert_eq(read_it(&reply, DNS_AAAA).status, DNS_NONE);
    reply = message(0, 1, 0);
    record(&reply, 15, 300, "\0\0", 2);
    cr_assert_eq(read_it(&reply, DNS_MX).status, DNS_FAILED);
}
