/* The hash and the mix. The expected values are those of their authors' own programs, and of records that stand on
 * disks. */
#include "lb/base/hash.h"

#include "lb/base/address.h"
#include "lb/reputation/parents.h"
#include "lb/reputation/vetting.h"

#include "backends/view.h"

#include <criterion/criterion.h>

/* From the tables of the FNV reference code (fnv_test.c). */
Test(hash, octets_have_the_published_values) {
    cr_assert_eq(hash_text(HASH_START, ""), UINT64_C(0xcbf29ce484222325));
    cr_assert_eq(hash_text(HASH_START, "a"), UINT64_C(0xaf63dc4c8601ec8c));
    cr_assert_eq(hash_text(HASH_START, "foobar"), UINT64_C(0x85944171f73967e8));
    cr_assert_eq(hash_octets(HASH_START, "foobar", 6), UINT64_C(0x85944171f73967e8));
    cr_assert_eq(hash_octets(HASH_START, "\xff\x00\x00\x01", 4), UINT64_C(0x6961196491cc682d));
    cr_assert_eq(hash_text_narrow(""), UINT32_C(0x811c9dc5));
    cr_assert_eq(hash_text_narrow("foobar"), UINT32_C(0xbf9cf968));
}

Test(hash, pieces_give_the_hash_of_the_whole) {
    uint64_t whole = hash_octets(HASH_START, "foobar", 6);
    for (size_t cut = 0; cut <= 6; cut++)
        cr_assert_eq(hash_octets(hash_octets(HASH_START, "foobar", cut), "foobar" + cut, 6 - cut), whole, "%zu", cut);
    cr_assert_eq(hash_octet(hash_text(HASH_START, "fooba"), 'r'), whole);
}

/* fmix64 of MurmurHash3.cpp. */
Test(hash, the_mix_has_the_published_values) {
    cr_assert_eq(hash_mix(0), 0);
    cr_assert_eq(hash_mix(1), UINT64_C(0xb456bcfc34c2cb2c));
    cr_assert_eq(hash_mix(UINT64_MAX), UINT64_C(0x64b5720b4b825f21));
}

Test(hash, the_mix_leads_back_to_its_key) {
    uint64_t key = HASH_START;
    for (unsigned i = 0; i < 1000; i++, key = hash_mix(key) + i)
        cr_assert_eq(hash_unmix(hash_mix(key)), key);
    cr_assert_eq(hash_unmix(0), 0);
    cr_assert_eq(hash_unmix(hash_mix(UINT64_MAX)), UINT64_MAX);
}

/* A version that gave others would forget who is vetted, or send each client of `balance = source` elsewhere. */
Test(hash, what_is_kept_and_what_clients_see_stays_the_same) {
    struct address client;
    cr_assert_eq(address_parse("192.0.2.1", 25, &client), 0);
    cr_assert_eq(client_key(&client), UINT64_C(0x803931826a2288ea));
    cr_assert_eq(address_parse("2001:db8::1", 25, &client), 0);
    cr_assert_eq(client_key(&client), UINT64_C(0xad7c75369356c26e));
    cr_assert_eq(parent_of_domain("example.org"), UINT64_C(0xfe7160631269bf51));
    cr_assert_eq(vetting_domain_number(".example.org"), UINT32_C(0x337f014d));
}
