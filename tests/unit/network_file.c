/* The allow-file: what it admits, and that a mistake in it admits nobody by accident. */
#include "lb/base/network_file.h"

#include "lb/reputation/access.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *said;

static int read_for(const struct network_file_use *use, const char *text, struct network_file *list) {
    char path[] = "/tmp/postern-unit-allow-XXXXXX";
    size_t length;
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    free(said);
    FILE *errors = open_memstream(&said, &length);
    int result = network_file_read(path, use, errors, list);
    fclose(errors);
    unlink(path);
    return result;
}

static int read_text(const char *text, struct network_file *list) {
    return read_for(&access_allow_file, text, list);
}

Test(network_file, networks_addresses_comments_and_domains_are_read) {
    struct network_file list;
    cr_assert_eq(read_text("# ours\n192.0.2.0/24 ; office\n\n  2001:db8::1\r\n.example.org\n198.51.100.7", &list), 0,
                 "%s", said);
    cr_assert_eq(list.networks.count, 3);
    cr_assert_eq(list.domains.count, 1);
    network_file_finish(&list);
}

Test(network_file, every_wrong_line_is_said_with_its_number_and_nothing_is_admitted) {
    struct network_file list = {0};
    cr_assert_eq(read_text("192.0.2.0/24\n192.0.2.1/24\nmail.example.org\n", &list), -EINVAL);
    cr_assert_not_null(strstr(said, ":2: \"192.0.2.1/24\" is no network"), "%s", said);
    cr_assert_not_null(strstr(said, ":3: \"mail.example.org\" is no network"), "%s", said);
    cr_assert_null(list.networks.items);
}

Test(network_file, a_file_that_is_missing_or_a_directory_is_said) {
    struct network_file list;
    size_t length;
    free(said);
    FILE *errors = open_memstream(&said, &length);
    cr_assert_eq(network_file_read("/nonexistent", &access_allow_file, errors, &list), -ENOENT);
    cr_assert_eq(network_file_read("/tmp", &access_deny_file, errors, &list), -EISDIR);
    fclose(errors);
    cr_assert_not_null(strstr(said, "/nonexistent: [reputation] allow-file cannot be read: No such"), "%s", said);
    cr_assert_not_null(strstr(said, "/tmp: [reputation] deny-file cannot be read: Is a dir"), "%s", said);
}

Test(network_file, each_file_says_what_it_allows_and_nothing_else) {
    struct network_file list = {0};
    cr_assert_eq(read_for(&access_deny_file, "192.0.2.0/24\nhere\n.example.org\n.example.net\n", &list), -EINVAL);
    cr_assert_not_null(strstr(said, ":2: \"here\" is no network; allowed: "), "%s", said);
    cr_assert_null(strstr(said, "or .domain"), "%s", said);
    cr_assert_not_null(strstr(said, ":3: \".example.org\": domains are allowed in allow-file only"), "%s", said);
    cr_assert_not_null(strstr(said, ":4: \".example.net\": domains are allowed in allow-file only"), "%s", said);
    cr_assert_eq(read_text("here\n", &list), -EINVAL);
    cr_assert_not_null(strstr(said, "an address, or .domain"), "%s", said);
}

Test(network_file, a_hundred_thousand_networks_are_read_whole) {
    char *text = NULL;
    size_t length;
    struct network_file list;
    FILE *out = open_memstream(&text, &length);
    for (unsigned i = 0; i < 100000; i++)
        fprintf(out, "10.%u.%u.%u\n", i >> 16, i >> 8 & 255, i & 255);
    fclose(out);
    cr_assert_eq(read_text(text, &list), 0);
    cr_assert_eq(list.networks.count, 100000);
    network_file_finish(&list);
    free(text);
}

static bool has(const struct network_file *file, const char *text) {
    struct address address;
    cr_assert_eq(address_parse(text, 25, &address), 0);
    return network_file_has_address(file, &address);
}

Test(network_file, a_network_within_another_and_its_neighbours_are_told_apart) {
    struct network_file list;
    cr_assert_eq(
        read_text("10.1.0.0/16\n10.0.0.0/8\n10.1.2.3\n192.0.2.0/25\n192.0.2.128/26\n2001:db8::/32\n0.0.0.0/32", &list),
        0);
    cr_assert_eq(list.networks.count, 5);
    cr_assert(has(&list, "10.0.0.0") && has(&list, "10.255.255.255") && has(&list, "10.1.2.4"));
    cr_assert(has(&list, "192.0.2.0") && has(&list, "192.0.2.191") && has(&list, "0.0.0.0"));
    cr_assert(has(&list, "2001:db8::") && has(&list, "2001:db8:ffff::1"));
    cr_assert_not(has(&list, "9.255.255.255") || has(&list, "11.0.0.0") || has(&list, "192.0.2.192"));
    cr_assert_not(has(&list, "2001:db9::") || has(&list, "::1") || has(&list, "255.255.255.255"));
    network_file_finish(&list);
    cr_assert_eq(read_text("", &list), 0);
    cr_assert_not(has(&list, "0.0.0.0"));
    network_file_finish(&list);
}

Test(network_file, a_domain_stands_for_itself_and_all_below_it) {
    struct network_file list;
    cr_assert_eq(read_text(".Example.org\n.b.test", &list), 0);
    cr_assert(network_file_find_name(&list, "example.org") != NULL &&
              network_file_find_name(&list, "mx.a.example.org") != NULL);
    cr_assert(network_file_find_name(&list, "x.b.test") != NULL);
    cr_assert_null(network_file_find_name(&list, "badexample.org"));
    cr_assert_null(network_file_find_name(&list, "example.org.test"));
    cr_assert_null(network_file_find_name(&list, "org"));
    cr_assert_null(network_file_find_name(&list, ""));
    network_file_finish(&list);
    cr_assert_eq(read_text(".\n.a..b\n.a b\n", &list), -EINVAL);
}

Test(network_file, what_is_not_seen_is_no_part_of_a_network_or_domain) {
    struct network_file list = {0};
    static const char *const wrong[] = {"192.0.2.1\xc2\xa0", "\xe2\x80\x8b.example.org",   ".exam\xc2\xadple.org",
                                        ".example.org\x0c",  "\xef\xbc\x91\x39\x32.0.2.1", ".ex\xe4mple.org"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[80];
        snprintf(text, sizeof text, "192.0.2.0/24\n%s\n", wrong[i]);
        cr_assert_eq(read_text(text, &list), -EINVAL, "%zu", i);
        cr_assert_not_null(strstr(said, ":2: has "), "%s", said);
    }
    cr_assert_eq(read_text("\xef\xbb\xbf.Example.org. # M\xfcller's\n192.0.2.7 ; \xc2\xa0\n", &list), 0, "%s", said);
    cr_assert(network_file_find_name(&list, "mx.example.org") != NULL && list.networks.count == 1);
    network_file_finish(&list);
    cr_assert_eq(read_text(".-x.org\n.x-.org\n.12.34\n", &list), -EINVAL);
    cr_assert_not_null(strstr(said, ":1: ") && strstr(said, ":2: ") && strstr(said, ":3: "), "%s", said);
}
