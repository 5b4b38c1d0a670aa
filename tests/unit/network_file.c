/* The allow-file: what it admits, and that a mistake in it admits nobody by accident. */
#include "conf/network_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *said;

static int read_text(const char *text, struct cidr_list *list, unsigned *domains) {
    char path[] = "/tmp/postern-unit-allow-XXXXXX";
    size_t length;
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    free(said);
    FILE *errors = open_memstream(&said, &length);
    int result = network_file_read(path, errors, list, domains);
    fclose(errors);
    unlink(path);
    return result;
}

Test(network_file, networks_addresses_comments_and_domains_are_read) {
    struct cidr_list list;
    unsigned domains;
    cr_assert_eq(
        read_text("# ours\n192.0.2.0/24 ; office\n\n  2001:db8::1\r\n.example.org\n198.51.100.7", &list, &domains), 0,
        "%s", said);
    cr_assert_eq(list.count, 3);
    cr_assert_eq(domains, 1);
    free(list.items);
}

Test(network_file, every_wrong_line_is_said_with_its_number_and_nothing_is_admitted) {
    struct cidr_list list = {0};
    unsigned domains = 0;
    cr_assert_eq(read_text("192.0.2.0/24\n192.0.2.1/24\nmail.example.org\n", &list, &domains), -EINVAL);
    cr_assert_not_null(strstr(said, ":2: \"192.0.2.1/24\" is no network"), "%s", said);
    cr_assert_not_null(strstr(said, ":3: \"mail.example.org\" is no network"), "%s", said);
    cr_assert_null(list.items);
}

Test(network_file, a_file_that_is_missing_or_a_directory_is_said) {
    struct cidr_list list;
    unsigned domains;
    FILE *errors = fopen("/dev/null", "we");
    cr_assert_eq(network_file_read("/nonexistent", errors, &list, &domains), -ENOENT);
    cr_assert_eq(network_file_read("/tmp", errors, &list, &domains), -EISDIR);
    fclose(errors);
}

Test(network_file, a_hundred_thousand_networks_are_read_whole) {
    char *text = NULL;
    size_t length;
    struct cidr_list list;
    unsigned domains;
    FILE *out = open_memstream(&text, &length);
    for (unsigned i = 0; i < 100000; i++)
        fprintf(out, "10.%u.%u.%u\n", i >> 16, i >> 8 & 255, i & 255);
    fclose(out);
    cr_assert_eq(read_text(text, &list, &domains), 0);
    cr_assert_eq(list.count, 100000);
    free(list.items);
    free(text);
}
